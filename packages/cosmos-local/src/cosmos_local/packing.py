"""Vectors as bytes: exact when read back, and quick to put into a matrix."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from cosmos_local.values import Value, dump, is_number

Part: TypeAlias = tuple[str, str, int, int]  # name, form, start, end
_SINGLE, _DOUBLE, _JSON = "f", "d", "j"
_DIGITS = 6  # that many significant decimal digits always survive a 32-bit float
_LENGTH = struct.Struct("<H")


def pack(values: Mapping[str, Value]) -> bytes:
    """Write properties as a header and their numbers, in 32 bits each where that loses nothing."""
    header: list[tuple[str, str, int]] = []
    payload = b""
    for name, value in values.items():
        form, data = _encode(value)
        header.append((name, form, len(data)))
        payload += data
    head = json.dumps(header).encode()
    return _LENGTH.pack(len(head)) + head + payload


def unpack_text(packed: bytes) -> str:
    """Return the properties as the inside of a JSON object."""
    members = (
        f"{json.dumps(name, ensure_ascii=False)}:{_decode(form, packed[start:end])}"
        for name, form, start, end in _layout(packed[: _body_of(packed)])
    )
    return ",".join(members)


def numbers_of(packed: bytes, wanted: str) -> tuple[str, bytes] | None:
    """Return the numbers of one property as raw bytes with their type code, f or d."""
    for name, form, start, end in _layout(packed[: _body_of(packed)]):
        if name == wanted and form != _JSON:
            return form, packed[start:end]
    return None


def _body_of(packed: bytes) -> int:
    return _LENGTH.size + int(_LENGTH.unpack_from(packed)[0])


@lru_cache(maxsize=64)  # all items of a container have the same few headers
def _layout(head: bytes) -> list[Part]:
    start = len(head)
    parts: list[Part] = []
    for name, form, size in json.loads(head[_LENGTH.size :]):
        parts.append((name, form, start, start + size))
        start += size
    return parts


def _encode(value: Value) -> tuple[str, bytes]:
    if not isinstance(value, list) or not value or not all(map(is_number, value)):
        return _JSON, dump(value).encode()
    form = f"<{len(value)}"
    try:
        single = struct.pack(f"{form}f", *value)
    except OverflowError:
        return _DOUBLE, struct.pack(f"{form}d", *value)
    if list(map(float, _short(single).split(","))) == value:
        return _SINGLE, single
    return _DOUBLE, struct.pack(f"{form}d", *value)


def _decode(form: str, data: bytes) -> str:
    if form == _JSON:
        return data.decode()
    if form == _SINGLE:
        return f"[{_short(data)}]"
    return dump(list(struct.unpack(f"<{len(data) // 8}d", data)))


def _short(single: bytes) -> str:
    """Write 32-bit floats with as many digits as are certain."""
    count = len(single) // 4
    return ",".join([f"%.{_DIGITS}g"] * count) % struct.unpack(f"<{count}f", single)
