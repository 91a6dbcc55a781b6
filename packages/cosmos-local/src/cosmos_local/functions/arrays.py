"""Array functions."""

from __future__ import annotations

from cosmos_local.functions.registry import MANY, Function, define
from cosmos_local.values import UNDEFINED, Undefined, Value, canonical, equal, is_number

FUNCTIONS: dict[str, Function] = {}


def _matches(item: Value, wanted: Value, *, partial: bool) -> bool:
    if partial and isinstance(item, dict) and isinstance(wanted, dict):
        return all(
            key in item and _matches(item[key], value, partial=True)
            for key, value in wanted.items()
        )
    return equal(item, wanted)


@define(FUNCTIONS, "ARRAY_CONTAINS", 2, 3)
def _contains(array: Value, wanted: Value, partial: Value = False) -> Value:  # noqa: FBT002 - SQL has no keywords
    if (
        not isinstance(array, list)
        or isinstance(wanted, Undefined)
        or not isinstance(partial, bool)
    ):
        return UNDEFINED
    return any(_matches(item, wanted, partial=partial) for item in array)


@define(FUNCTIONS, "ARRAY_CONTAINS_ANY", 2, MANY)
def _contains_any(array: Value, *wanted: Value) -> Value:
    return (
        any(equal(item, one) for item in array for one in wanted)
        if isinstance(array, list)
        else UNDEFINED
    )


@define(FUNCTIONS, "ARRAY_CONTAINS_ALL", 2, MANY)
def _contains_all(array: Value, *wanted: Value) -> Value:
    if not isinstance(array, list):
        return UNDEFINED
    return all(any(equal(item, one) for item in array) for one in wanted)


@define(FUNCTIONS, "ARRAY_LENGTH", 1)
def _length(array: Value) -> Value:
    return len(array) if isinstance(array, list) else UNDEFINED


@define(FUNCTIONS, "ARRAY_SLICE", 2, 3)
def _slice(array: Value, start: Value, count: Value = MANY) -> Value:
    if not isinstance(array, list) or not is_number(start) or not is_number(count):
        return UNDEFINED
    first = int(start) if start >= 0 else max(len(array) + int(start), 0)
    return array[first : first + max(int(count), 0)]


@define(FUNCTIONS, "ARRAY_CONCAT", 2, MANY)
def _concat(*arrays: Value) -> Value:
    joined: list[Value] = []
    for array in arrays:
        if not isinstance(array, list):
            return UNDEFINED
        joined += array
    return joined


@define(FUNCTIONS, "SETUNION", 2)
def _union(left: Value, right: Value) -> Value:
    if not isinstance(left, list) or not isinstance(right, list):
        return UNDEFINED
    return list({canonical(item): item for item in reversed(left + right)}.values())[::-1]


@define(FUNCTIONS, "SETDIFFERENCE", 2)
def _difference(left: Value, right: Value) -> Value:
    if not isinstance(left, list) or not isinstance(right, list):
        return UNDEFINED
    dropped = {canonical(item) for item in right}
    return list({canonical(item): item for item in left if canonical(item) not in dropped}.values())


@define(FUNCTIONS, "OBJECTTOARRAY", 1, 3)
def _object_to_array(value: Value, key: Value = "k", item: Value = "v") -> Value:
    if not isinstance(value, dict) or not isinstance(key, str) or not isinstance(item, str):
        return UNDEFINED
    return [{key: name, item: member} for name, member in value.items()]


@define(FUNCTIONS, "SETINTERSECT", 2)
def _intersect(left: Value, right: Value) -> Value:
    if not isinstance(left, list) or not isinstance(right, list):
        return UNDEFINED
    kept = {canonical(item) for item in right}
    return list({canonical(item): item for item in left if canonical(item) in kept}.values())
