"""Mathematical functions; what has no finite result is undefined."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeGuard

from cosmos_local.functions.registry import Function, define
from cosmos_local.values import UNDEFINED, Value, is_number

FUNCTIONS: dict[str, Function] = {}
MAX_PLACES = 15  # more decimals than a double has
_LARGE = 2**63  # beyond it Python's integers would be more exact than the service's doubles


def finite(compute: Callable[[], float]) -> Value:
    """Return the result, or undefined where there is none."""
    try:
        result = compute()
        if isinstance(result, complex) or not math.isfinite(result):
            return UNDEFINED
        return float(result) if abs(result) >= _LARGE else result
    except (ValueError, OverflowError, ZeroDivisionError):
        return UNDEFINED


def _define(
    name: str, compute: Callable[..., float], arguments: int = 1, most: int | None = None
) -> None:
    def implementation(*values: Value) -> Value:
        if not all(map(is_number, values)):
            return UNDEFINED
        return finite(lambda: compute(*values))

    define(FUNCTIONS, name, arguments, most)(implementation)


def _define_integer(name: str, compute: Callable[[int, int], int]) -> None:
    """Define a function of two 64-bit integers; its result wraps around as theirs would."""

    def implementation(left: Value, right: Value) -> Value:
        if not _is_long(left) or not _is_long(right):
            return UNDEFINED
        return finite(lambda: (compute(int(left), int(right)) + _LARGE) % (2 * _LARGE) - _LARGE)

    define(FUNCTIONS, name, 2)(implementation)


def _is_long(value: Value) -> TypeGuard[int | float]:
    return is_number(value) and value == int(value) and -_LARGE <= value < _LARGE


def _round(value: float, places: float = 0) -> float:
    """Round half away from zero, to so many decimals."""
    if places != int(places) or not 0 <= places <= MAX_PLACES:
        raise ValueError
    scale = 10 ** int(places)
    scaled = value * scale
    rounded = math.floor(scaled + 0.5) if scaled >= 0 else math.ceil(scaled - 0.5)
    return float(rounded / scale) if places else rounded


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


_define("ABS", abs)
_define("CEILING", math.ceil)
_define("FLOOR", math.floor)
_define("ROUND", _round, 1, 2)
_define("TRUNC", math.trunc)
_define("SIGN", _sign)
_define("SQRT", math.sqrt)
_define("SQUARE", lambda value: float(value) * value)
_define("EXP", math.exp)
_define("LOG10", math.log10)
_define("POWER", lambda base, exponent: float(base) ** exponent, 2)
_define("SIN", math.sin)
_define("COS", math.cos)
_define("TAN", math.tan)
_define("ACOS", math.acos)
_define("ASIN", math.asin)
_define("ATAN", math.atan)
_define("ATN2", math.atan2, 2)
_define("COT", lambda value: 1 / math.tan(value))
_define("DEGREES", math.degrees)
_define("RADIANS", math.radians)
_define("PI", lambda: math.pi, 0)
_define("NUMBERBIN", lambda value, size=1.0: math.floor(value / size) * size, 1, 2)
_define_integer("INTADD", lambda left, right: left + right)
_define_integer("INTSUB", lambda left, right: left - right)
_define_integer("INTMUL", lambda left, right: left * right)
_define_integer(
    "INTDIV", lambda left, right: int(math.copysign(abs(left) // abs(right), left * right))
)
_define_integer("INTMOD", lambda left, right: int(math.fmod(left, right)))
_define_integer("INTBITAND", lambda left, right: left & right)
_define_integer("INTBITOR", lambda left, right: left | right)
_define_integer("INTBITXOR", lambda left, right: left ^ right)


@define(FUNCTIONS, "LOG", 1, 2)
def _log(value: Value, base: Value = math.e) -> Value:
    if not is_number(value) or not is_number(base):
        return UNDEFINED
    number, root = value, base
    return finite(lambda: math.log(number, root))
