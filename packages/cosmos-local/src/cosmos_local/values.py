"""JSON values as Cosmos DB compares and orders them, with its `undefined`."""

from __future__ import annotations

import json
import math
from typing import Final, TypeAlias, TypeGuard

from cosmos_local.errors import bad_request

Value: TypeAlias = object  # None, bool, int, float, str, list, dict or UNDEFINED
Document: TypeAlias = dict[str, object]


class Undefined:
    """The value of a property that is not there; unlike null it disappears from results."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Read well in a failed assertion."""
        return "undefined"


UNDEFINED: Final = Undefined()

_EXACT = 2**53  # larger integers are not all doubles
_NULL, _FALSE, _TRUE, _NUMBER, _STRING, _ARRAY, _OBJECT = range(1, 8)


def is_number(value: Value) -> TypeGuard[int | float]:
    """Tell numbers from booleans, which Python does not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def type_order(value: Value) -> int:
    """Return the rank of the value's type in ORDER BY: undefined first, objects last."""
    if isinstance(value, Undefined):
        return 0
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if is_number(value):
        return _NUMBER
    if isinstance(value, str):
        return _STRING
    return _ARRAY if isinstance(value, list) else _OBJECT


def sort_key(value: Value) -> tuple[int, float | str]:
    """Return a key under which values of all types are in the service's order."""
    order = type_order(value)
    if is_number(value):
        return order, value
    if isinstance(value, str):
        return order, value
    return order, canonical(value) if order in (_ARRAY, _OBJECT) else 0


def equal(left: Value, right: Value) -> bool:
    """Compare deeply and by type: 1 is 1.0, but never true and never "1"."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            equal(a, b) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            equal(item, right[key]) for key, item in left.items()
        )
    return type_order(left) == type_order(right) and left == right


def compare(operator: str, left: Value, right: Value) -> Value:
    """Apply `=`, `!=`, `<`, `<=`, `>` or `>=`; what cannot be ordered gives undefined."""
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return UNDEFINED
    if operator == "=":
        return equal(left, right)
    if operator == "!=":
        return not equal(left, right)
    return _ordered(operator, left, right)


def _ordered(operator: str, left: Value, right: Value) -> Value:
    if isinstance(left, bool) and isinstance(right, bool):
        left, right = int(left), int(right)
    if not (is_number(left) and is_number(right)) and not (
        isinstance(left, str) and isinstance(right, str)
    ):
        return UNDEFINED
    a, b = sort_key(left), sort_key(right)
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


def canonical(value: Value) -> str:
    """Write a value so that equal values are equal texts (DISTINCT and GROUP BY)."""
    if isinstance(value, Undefined):
        return "undefined"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, dict):
        return (
            "{"
            + ",".join(f"{json.dumps(key)}:{canonical(value[key])}" for key in sorted(value))
            + "}"
        )
    return json.dumps(value)


def without_undefined(value: Value) -> Value:
    """Drop undefined members, as a result sent to a client does."""
    if isinstance(value, dict):
        return {
            key: without_undefined(item)
            for key, item in value.items()
            if not isinstance(item, Undefined)
        }
    if isinstance(value, list):
        return [without_undefined(item) for item in value if not isinstance(item, Undefined)]
    return value


def dump(value: Value) -> str:
    """Write compact JSON; refuse numbers JSON has no name for."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def load(body: bytes | str) -> Value:
    """Parse a request's JSON strictly: no NaN, no infinite numbers, no half surrogates."""
    try:
        parsed: Value = json.loads(
            body, parse_constant=_no_constant, parse_float=_finite, parse_int=_double
        )
        text = body if isinstance(body, str) else body.decode()
        if "\\ud" in text or "\\uD" in text:
            dump(parsed).encode()
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The request payload is invalid JSON: {error}") from error
    return parsed


def load_object(body: bytes | str) -> Document:
    """Parse a request's JSON and insist on an object."""
    parsed = load(body)
    if not isinstance(parsed, dict):
        raise bad_request("The request payload is invalid: a JSON object is required.")
    return parsed


def dig(value: Value, path: tuple[str, ...]) -> Value:
    """Follow property names; anything missing on the way is undefined."""
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return UNDEFINED
        value = value[name]
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _double(text: str) -> int | float:
    """Read an integer as the service does, which knows doubles only."""
    number = int(text)
    if abs(number) <= _EXACT:
        return number
    rounded = _finite(text)
    return int(rounded) if abs(rounded) < 2**63 else rounded


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number
