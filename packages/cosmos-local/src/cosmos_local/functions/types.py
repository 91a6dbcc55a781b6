"""Functions that ask for a value's type."""

from __future__ import annotations

from cosmos_local.functions.registry import Function, define
from cosmos_local.values import UNDEFINED, Undefined, Value, is_number

FUNCTIONS: dict[str, Function] = {}


@define(FUNCTIONS, "IS_DEFINED", 1)
def _is_defined(value: Value) -> Value:
    return not isinstance(value, Undefined)


@define(FUNCTIONS, "IS_NULL", 1)
def _is_null(value: Value) -> Value:
    return value is None


@define(FUNCTIONS, "IS_BOOL", 1)
def _is_bool(value: Value) -> Value:
    return isinstance(value, bool)


@define(FUNCTIONS, "IS_NUMBER", 1)
def _is_number(value: Value) -> Value:
    return is_number(value)


@define(FUNCTIONS, "IS_INTEGER", 1)
def _is_integer(value: Value) -> Value:
    return is_number(value) and float(value).is_integer() and abs(value) < 2**63


@define(FUNCTIONS, "IS_FINITE_NUMBER", 1)
def _is_finite_number(value: Value) -> Value:
    return is_number(value)


@define(FUNCTIONS, "IS_STRING", 1)
def _is_string(value: Value) -> Value:
    return isinstance(value, str)


@define(FUNCTIONS, "IS_ARRAY", 1)
def _is_array(value: Value) -> Value:
    return isinstance(value, list)


@define(FUNCTIONS, "IS_OBJECT", 1)
def _is_object(value: Value) -> Value:
    return isinstance(value, dict)


@define(FUNCTIONS, "IS_PRIMITIVE", 1)
def _is_primitive(value: Value) -> Value:
    return value is None or isinstance(value, bool | int | float | str)


@define(FUNCTIONS, "IIF", 3)
def _iif(test: Value, yes: Value, no: Value) -> Value:
    return yes if test is True else no


@define(FUNCTIONS, "CHOOSE", 2, 100)
def _choose(index: Value, *choices: Value) -> Value:
    if not is_number(index) or index != int(index) or not 1 <= index <= len(choices):
        return UNDEFINED
    return choices[int(index) - 1]
