"""Date and time functions, on the service's ISO 8601 form with seven decimals."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta

from cosmos_local.functions.registry import Function, define
from cosmos_local.values import UNDEFINED, Value, is_number

FUNCTIONS: dict[str, Function] = {}
_FORM = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)(?:\.(\d{1,7}))?Z)?", re.ASCII)
_MONTHS = {"year": 12, "yyyy": 12, "yy": 12, "month": 1, "mm": 1, "m": 1}
_SPANS = {
    "day": timedelta(days=1),
    "dd": timedelta(days=1),
    "d": timedelta(days=1),
    "hour": timedelta(hours=1),
    "hh": timedelta(hours=1),
    "minute": timedelta(minutes=1),
    "mi": timedelta(minutes=1),
    "n": timedelta(minutes=1),
    "second": timedelta(seconds=1),
    "ss": timedelta(seconds=1),
    "s": timedelta(seconds=1),
    "millisecond": timedelta(milliseconds=1),
    "ms": timedelta(milliseconds=1),
}


def timestamp(now: float) -> int:
    """Return milliseconds since the epoch."""
    return int(now * 1000)


def iso(moment: datetime) -> str:
    """Write a moment as the service does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}0Z"


def _parse(value: Value) -> datetime | None:
    match = _FORM.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, clock, fraction = match.groups()
    try:
        return datetime.fromisoformat(
            f"{day}T{clock or '00:00:00'}.{(fraction or '0')[:6]:0<6}+00:00"
        )
    except ValueError:
        return None


@define(FUNCTIONS, "DATETIMEADD", 3)
def _add(part: Value, count: Value, start: Value) -> Value:
    moment = _parse(start)
    if moment is None or not isinstance(part, str) or not is_number(count) or count != int(count):
        return UNDEFINED
    try:
        if part.lower() in _MONTHS:
            return iso(_add_months(moment, int(count) * _MONTHS[part.lower()]))
        span = _SPANS.get(part.lower())
        return UNDEFINED if span is None else iso(moment + int(count) * span)
    except (ValueError, OverflowError):
        return UNDEFINED


def _add_months(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


@define(FUNCTIONS, "DATETIMEDIFF", 3)
def _difference(part: Value, start: Value, end: Value) -> Value:
    first, last = _parse(start), _parse(end)
    if first is None or last is None or not isinstance(part, str) or part.lower() not in _SPANS:
        return UNDEFINED
    return (last - first) // _SPANS[part.lower()]


@define(FUNCTIONS, "DATETIMETOTIMESTAMP", 1)
def _to_timestamp(value: Value) -> Value:
    moment = _parse(value)
    return UNDEFINED if moment is None else timestamp(moment.timestamp())


@define(FUNCTIONS, "TIMESTAMPTODATETIME", 1)
def _to_datetime(value: Value) -> Value:
    if not is_number(value):
        return UNDEFINED
    try:
        return iso(datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=value))
    except OverflowError:
        return UNDEFINED
