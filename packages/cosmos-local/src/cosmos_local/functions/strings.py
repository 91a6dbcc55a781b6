"""String functions; an argument of another type makes the result undefined."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from types import NoneType

from cosmos_local.errors import Refusal, bad_request
from cosmos_local.functions.registry import MANY, Function, define
from cosmos_local.values import (
    UNDEFINED,
    Undefined,
    Value,
    dump,
    is_number,
    load,
    without_undefined,
)

FUNCTIONS: dict[str, Function] = {}
MAX_RESULT = 2 * 1024 * 1024  # no string may outgrow an item
_MAX_PATTERN = 1024  # characters of a REGEXMATCH pattern


def _test(name: str, test: Callable[[str, str], bool]) -> None:
    """Define a predicate over two strings with the optional `true` for ignoring case."""

    def implementation(text: Value, part: Value, ignore_case: Value = False) -> Value:  # noqa: FBT002 - SQL has no keywords
        if (
            not isinstance(text, str)
            or not isinstance(part, str)
            or not isinstance(ignore_case, bool)
        ):
            return UNDEFINED
        return test(text.lower(), part.lower()) if ignore_case else test(text, part)

    define(FUNCTIONS, name, 2, 3)(implementation)


def _change(name: str, change: Callable[[str], Value]) -> None:
    """Define a function of one string."""

    def implementation(text: Value) -> Value:
        return change(text) if isinstance(text, str) else UNDEFINED

    define(FUNCTIONS, name, 1)(implementation)


_test("CONTAINS", lambda text, part: part in text)
_test("STARTSWITH", lambda text, part: text.startswith(part))
_test("ENDSWITH", lambda text, part: text.endswith(part))
_test("STRINGEQUALS", lambda text, part: text == part)
_change("LOWER", str.lower)
_change("UPPER", str.upper)
_change("LENGTH", len)
_change("LTRIM", str.lstrip)
_change("RTRIM", str.rstrip)
_change("TRIM", str.strip)
_change("REVERSE", lambda text: text[::-1])


@define(FUNCTIONS, "CONCAT", 2, MANY)
def concat(*parts: Value) -> Value:
    """Join strings."""
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) != len(parts) or sum(map(len, texts)) > MAX_RESULT:
        return UNDEFINED
    return "".join(texts)


@define(FUNCTIONS, "INDEX_OF", 2, 3)
def _index_of(text: Value, part: Value, start: Value = 0) -> Value:
    if not isinstance(text, str) or not isinstance(part, str) or not is_number(start):
        return UNDEFINED
    return text.find(part, max(int(start), 0))


@define(FUNCTIONS, "LEFT", 2)
def _left(text: Value, count: Value) -> Value:
    return text[: max(int(count), 0)] if isinstance(text, str) and is_number(count) else UNDEFINED


@define(FUNCTIONS, "RIGHT", 2)
def _right(text: Value, count: Value) -> Value:
    return (
        text[max(len(text) - max(int(count), 0), 0) :]
        if isinstance(text, str) and is_number(count)
        else UNDEFINED
    )


@define(FUNCTIONS, "SUBSTRING", 3)
def _substring(text: Value, start: Value, count: Value) -> Value:
    if not isinstance(text, str) or not is_number(start) or not is_number(count):
        return UNDEFINED
    first = max(int(start), 0)
    return text[first : first + max(int(count), 0)]


@define(FUNCTIONS, "REPLACE", 3)
def _replace(text: Value, old: Value, new: Value) -> Value:
    if not isinstance(text, str) or not isinstance(old, str) or not isinstance(new, str):
        return UNDEFINED
    if not old or len(text) + text.count(old) * len(new) > MAX_RESULT:
        return text if not old else UNDEFINED
    return text.replace(old, new)


@define(FUNCTIONS, "REPLICATE", 2)
def _replicate(text: Value, count: Value) -> Value:
    if (
        not isinstance(text, str)
        or not is_number(count)
        or count < 0
        or len(text) * count > MAX_RESULT
    ):
        return UNDEFINED
    return text * int(count)


@define(FUNCTIONS, "TOSTRING", 1)
def _to_string(value: Value) -> Value:
    if isinstance(value, str | Undefined):
        return value
    return dump(without_undefined(value))


@define(FUNCTIONS, "STRINGTONUMBER", 1)
def _string_to_number(value: Value) -> Value:
    if isinstance(value, str) and re.fullmatch(
        r"\s*-?\d+(\.\d+)?([eE][+-]?\d{1,3})?\s*", value, re.ASCII
    ):
        number = float(value)
        return int(number) if number.is_integer() and "." not in value else number
    return UNDEFINED


def _parse(name: str, expected: type[list[object] | dict[str, object] | bool | None]) -> None:
    """Define a function that reads JSON of one type from a string."""

    def implementation(text: Value) -> Value:
        try:
            value = load(text) if isinstance(text, str) else UNDEFINED
        except Refusal:
            return UNDEFINED
        return value if isinstance(value, expected) else UNDEFINED

    define(FUNCTIONS, name, 1)(implementation)


_parse("STRINGTOARRAY", list)
_parse("STRINGTOOBJECT", dict)
_parse("STRINGTOBOOLEAN", bool)
_parse("STRINGTONULL", NoneType)


@define(FUNCTIONS, "STRINGSPLIT", 2)
def _split(text: Value, separator: Value) -> Value:
    if not isinstance(text, str) or not isinstance(separator, str):
        return UNDEFINED
    return text.split(separator) if separator else [text]


@define(FUNCTIONS, "STRINGJOIN", 2)
def _join(parts: Value, separator: Value) -> Value:
    if not isinstance(parts, list) or not isinstance(separator, str):
        return UNDEFINED
    texts = [part for part in parts if isinstance(part, str)]
    size = sum(map(len, texts)) + len(separator) * len(texts)
    return separator.join(texts) if len(texts) == len(parts) and size <= MAX_RESULT else UNDEFINED


@define(FUNCTIONS, "LASTINDEXOF", 2)
def _last_index_of(text: Value, part: Value) -> Value:
    return text.rfind(part) if isinstance(text, str) and isinstance(part, str) else UNDEFINED


@define(FUNCTIONS, "REGEXMATCH", 2, 3)
def _regex_match(text: Value, pattern: Value, modifiers: Value = "") -> Value:
    if not isinstance(text, str) or not isinstance(pattern, str) or not isinstance(modifiers, str):
        return UNDEFINED
    return _regex(pattern, modifiers).search(text) is not None


@lru_cache(maxsize=128)
def _regex(pattern: str, modifiers: str) -> re.Pattern[str]:
    flags = {"m": re.MULTILINE, "s": re.DOTALL, "i": re.IGNORECASE, "x": re.VERBOSE}
    combined = re.RegexFlag(0)
    for modifier in modifiers:
        if modifier not in flags:
            raise bad_request(f"REGEXMATCH does not know the modifier '{modifier}'.")
        combined |= flags[modifier]
    if len(pattern) > _MAX_PATTERN:
        raise bad_request("The REGEXMATCH pattern is too long.")
    try:
        return re.compile(pattern, combined)
    except (re.error, OverflowError, RecursionError) as error:
        raise bad_request(f"The REGEXMATCH pattern is invalid: {error}") from error


@lru_cache(maxsize=128)
def like_pattern(pattern: str, escape: str | None) -> re.Pattern[str]:
    """Translate a LIKE pattern: %, _, [abc], [^abc]."""
    parts, i = [], 0
    while i < len(pattern):
        mark = pattern[i]
        if escape is not None and mark == escape and i + 1 < len(pattern):
            parts.append(re.escape(pattern[i + 1]))
            i += 1
        elif mark == "[" and "]" in pattern[i + 2 :]:
            end = pattern.index("]", i + 2)
            parts.append(_character_class(pattern[i + 1 : end]))
            i = end
        else:
            parts.append({"%": ".*", "_": "."}.get(mark, re.escape(mark)))
        i += 1
    try:
        return re.compile("".join(parts), re.DOTALL)
    except re.error as error:
        raise bad_request(f"The LIKE pattern is invalid: {error}") from error


def _character_class(inside: str) -> str:
    negated = "^" if inside.startswith("^") else ""
    escaped = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside[len(negated) :])
    return f"[{negated}{escaped}]"
