"""Mathematical functions; what has no finite result is undefined."""

from __future__ import annotations

import math
from collections.abc import Callable

from cosmos_local.functions.registry import Function, define
from cosmos_local.values import UNDEFINED, Value, is_number

FUNCTIONS: dict[str, Function] = {}
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


def _define(name: str, compute: Callable[..., float], arguments: int = 1) -> None:
    def implementation(*values: Value) -> Value:
        if not all(map(is_number, values)):
            return UNDEFINED
        return finite(lambda: compute(*values))

    define(FUNCTIONS, name, arguments)(implementation)


def _round(value: float) -> float:
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


_define("ABS", abs)
_define("CEILING", math.ceil)
_define("FLOOR", math.floor)
_define("ROUND", _round)
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
_define("PI", lambda: math.pi, 0)


@define(FUNCTIONS, "LOG", 1, 2)
def _log(value: Value, base: Value = math.e) -> Value:
    if not is_number(value) or not is_number(base):
        return UNDEFINED
    number, root = value, base
    return finite(lambda: math.log(number, root))
