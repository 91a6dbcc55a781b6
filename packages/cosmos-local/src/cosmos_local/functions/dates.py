"""Date and time functions, on the service's ISO 8601 form with seven decimals."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cosmos_local.functions.registry import Function, define
from cosmos_local.values import UNDEFINED, Value, is_number

FUNCTIONS: dict[str, Function] = {}
_FORM = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?Z)?", re.ASCII)
_TICK = 10_000_000  # of 100 nanoseconds in a second; the service knows nothing shorter
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES = {
    "year": ("year", "yyyy", "yy"),
    "month": ("month", "mm", "m"),
    "day": ("day", "dd", "d"),
    "hour": ("hour", "hh"),
    "minute": ("minute", "mi", "n"),
    "second": ("second", "ss", "s"),
    "millisecond": ("millisecond", "ms"),
    "microsecond": ("microsecond", "mcs"),
    "nanosecond": ("nanosecond", "ns"),
}
_PARTS = {short: part for part, shorts in _NAMES.items() for short in shorts}
_MONTHS = {"year": 12, "month": 1}
_TICKS = {
    "day": 86_400 * _TICK,
    "hour": 3600 * _TICK,
    "minute": 60 * _TICK,
    "second": _TICK,
    "millisecond": _TICK // 1000,
    "microsecond": _TICK // 1_000_000,
}


def timestamp(now: float) -> int:
    """Return milliseconds since the epoch."""
    return int(now * 1000)


def ticks(now: float) -> int:
    """Return the ticks of 100 nanoseconds since the epoch."""
    return int(now * 1_000_000) * 10


def iso(moment: int) -> str:
    """Write a moment, in ticks since the epoch, as the service does.

    Raises:
        OverflowError: the moment is not in the years 1 to 9999.
    """
    seconds, fraction = divmod(moment, _TICK)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z"


def _parse(value: Value) -> int | None:
    """Return the ticks since the epoch that a text means, if it is a date."""
    match = _FORM.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, clock, fraction = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock or '00:00:00'}+00:00")
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * _TICK + int(f"{fraction or '0':0<7}")


def _part(value: Value) -> str:
    return _PARTS.get(value.lower(), "") if isinstance(value, str) else ""


def _calendar(moment: int) -> datetime:
    return _EPOCH + timedelta(seconds=moment // _TICK)


def _text(moment: Callable[[], int]) -> Value:
    """Write a moment, or give undefined where the calendar ends."""
    try:
        return iso(moment())
    except (ValueError, OverflowError):
        return UNDEFINED


@define(FUNCTIONS, "DATETIMEADD", 3)
def _add(part: Value, count: Value, start: Value) -> Value:
    moment, unit = _parse(start), _part(part)
    if moment is None or not unit or not is_number(count) or count != int(count):
        return UNDEFINED
    number, begin = int(count), moment
    if unit in _MONTHS:
        return _text(lambda: _add_months(begin, number * _MONTHS[unit]))
    if unit == "nanosecond":
        return _text(lambda: begin + int(number / 100))
    return _text(lambda: begin + number * _TICKS[unit])


def _add_months(moment: int, months: int) -> int:
    day = _calendar(moment)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    moved = day.replace(year=year, month=month + 1, day=min(day.day, last))
    return moment + (moved - day) // timedelta(seconds=1) * _TICK


@define(FUNCTIONS, "DATETIMEDIFF", 3)
def _difference(part: Value, start: Value, end: Value) -> Value:
    """Return how many whole units lie between two moments, negative if the first is later."""
    first, last, unit = _parse(start), _parse(end), _part(part)
    if first is None or last is None or not unit:
        return UNDEFINED
    if unit in _MONTHS:
        return _months_between(first, last, _MONTHS[unit])
    if unit == "nanosecond":
        return (last - first) * 100
    return int(math.copysign(abs(last - first) // _TICKS[unit], last - first))


def _months_between(first: int, last: int, size: int) -> int:
    if first > last:
        return -_months_between(last, first, size)
    begin, end = _calendar(first), _calendar(last)
    months = (end.year - begin.year) * 12 + end.month - begin.month
    if _add_months(first, months) > last:
        months -= 1
    return months // size


@define(FUNCTIONS, "DATETIMEPART", 2)
def _date_time_part(part: Value, value: Value) -> Value:
    moment, unit = _parse(value), _part(part)
    if moment is None or not unit:
        return UNDEFINED
    fraction = moment % _TICK
    fractions = {
        "millisecond": fraction // 10_000,
        "microsecond": fraction // 10,
        "nanosecond": fraction * 100,
    }
    return fractions.get(unit, getattr(_calendar(moment), unit, 0))


EPOCH = iso(0)


@define(FUNCTIONS, "DATETIMEBIN", 2, 4)
def _bin(value: Value, part: Value, size: Value = 1, origin: Value = EPOCH) -> Value:
    """Round a moment down to a multiple of so many units since an origin."""
    moment, begin, unit = _parse(value), _parse(origin), _part(part)
    if moment is None or begin is None or unit not in _TICKS:
        return UNDEFINED
    if not is_number(size) or size != int(size) or size < 1:
        return UNDEFINED
    step = int(size) * _TICKS[unit]
    return _text(lambda: begin + (moment - begin) // step * step)


@define(FUNCTIONS, "DATETIMEFROMPARTS", 3, 7)
def _from_parts(*parts: Value) -> Value:
    numbers = [int(part) for part in parts if is_number(part) and part == int(part)]
    if len(numbers) < len(parts):
        return UNDEFINED
    *clock, fraction = [*numbers, *[0] * (7 - len(numbers))]
    try:
        moment = datetime(*clock, tzinfo=UTC)  # type: ignore[arg-type, misc]  # six integers
    except (ValueError, OverflowError):
        return UNDEFINED
    if not 0 <= fraction < _TICK:
        return UNDEFINED
    return iso((moment - _EPOCH) // timedelta(seconds=1) * _TICK + fraction)


@define(FUNCTIONS, "DATETIMETOTIMESTAMP", 1)
def _to_timestamp(value: Value) -> Value:
    moment = _parse(value)
    return UNDEFINED if moment is None else moment // 10_000


@define(FUNCTIONS, "DATETIMETOTICKS", 1)
def _to_ticks(value: Value) -> Value:
    moment = _parse(value)
    return UNDEFINED if moment is None else moment


@define(FUNCTIONS, "TIMESTAMPTODATETIME", 1)
def _from_timestamp(value: Value) -> Value:
    return _text(lambda: int(value * 10_000)) if is_number(value) else UNDEFINED


@define(FUNCTIONS, "TICKSTODATETIME", 1)
def _from_ticks(value: Value) -> Value:
    return _text(lambda: int(value)) if is_number(value) else UNDEFINED
