"""Sorted lists: the rows of each partition in the order of some properties, kept with every write.

A list is made for queries that would otherwise read a large partition, and kept in the file. Its
first properties are those a query fixes, the others those it orders by. Keys are bytes that sort
as the values do, so that SQLite's order is exactly the evaluator's.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosmos_local.keys import Path
from cosmos_local.values import Value, canonical, dig, is_number, type_order

if TYPE_CHECKING:
    from cosmos_local.storage import Item

Keys = tuple[tuple[Path, bool], ...]  # paths, each with "is descending"
LAST = b"\xff"  # after every key
COMPLETE = -1
_CHUNK = 500
_FIRST_TYPE = 0x10
_INVERTED = bytes(255 - byte for byte in range(256))


_PART = """
SELECT key, row FROM entries
WHERE list = ? AND partition = ? AND (key, row) > (?, ?) AND (key, row) < (?, ?)
"""
_FORWARDS = f"{_PART} ORDER BY key, row LIMIT ?"
_BACKWARDS = f"{_PART} ORDER BY key DESC, row DESC LIMIT ?"


@dataclass(frozen=True, slots=True)
class SortedList:
    """A list of one container."""

    number: int
    keys: Keys

    def key_of(self, item: Item) -> bytes:
        """Return the place of an item."""
        document = item.document(whole=False)
        return b"".join(
            encode(dig(document, path), descending=descending) for path, descending in self.keys
        )


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a list: one partition's rows between two keys, forwards or backwards."""

    list_number: int
    partition: str
    low: bytes
    high: bytes
    backwards: bool


class SortedLists:
    """The lists of all containers."""

    def __init__(self, connection: sqlite3.Connection, lock: threading.RLock) -> None:
        """Find the lists that were made before."""
        self._connection = connection
        self._lock = lock
        self._lists: dict[int, dict[Keys, tuple[SortedList, int]]] = {}
        for number, container, keys, built in connection.execute("SELECT * FROM lists"):
            parsed = tuple((tuple(path), descending) for path, descending in json.loads(keys))
            known = self._lists.setdefault(container, {})
            known[parsed] = (SortedList(number, parsed), built)

    def find(self, container: int, keys: Keys) -> SortedList | None:
        """Return the list by these keys if it is complete."""
        found = self._lists.get(container, {}).get(keys)
        return found[0] if found is not None and found[1] == COMPLETE else None

    def build(self, container: int, keys: Keys) -> None:
        """Make a list, a part at a time, so that others can work in between; idempotent."""
        while not self._build_part(container, keys):
            pass

    def _build_part(self, container: int, keys: Keys) -> bool:
        from cosmos_local.storage import Item  # noqa: PLC0415 - it imports this module

        with self._lock:
            made, built = self._made(container, keys)
            if built == COMPLETE:
                return True
            statement = (
                "SELECT row, partition, id, change, expires_at, etag, body, NULL FROM items "
                "WHERE container = ? AND row > ? ORDER BY row LIMIT ?"
            )
            rows = self._connection.execute(statement, [container, built, _CHUNK]).fetchall()
            built = rows[-1][0] if len(rows) == _CHUNK else COMPLETE
            self._connection.execute("BEGIN IMMEDIATE")
            for row in rows:
                self._insert(made, Item(*row))
            self._connection.execute(
                "UPDATE lists SET built = ? WHERE number = ?", [built, made.number]
            )
            self._connection.execute("COMMIT")
            self._lists[container][keys] = (made, built)
            return built == COMPLETE

    def _made(self, container: int, keys: Keys) -> tuple[SortedList, int]:
        known = self._lists.setdefault(container, {})
        if keys not in known:
            statement = "INSERT INTO lists (container, keys, built) VALUES (?, ?, 0)"
            cursor = self._connection.execute(statement, [container, json.dumps(keys)])
            known[keys] = (SortedList(int(cursor.lastrowid or 0), keys), 0)
        return known[keys]

    def put(self, container: int, item: Item) -> None:
        """Take in a new version of an item, or a new item."""
        for made, built in self._lists.get(container, {}).values():
            if built == COMPLETE or item.row <= built:
                self._insert(made, item)

    def _insert(self, made: SortedList, item: Item) -> None:
        self._connection.execute(
            "REPLACE INTO entries VALUES (?, ?, ?, ?, ?)",
            [made.number, item.partition, made.key_of(item), item.row, item.expires_at],
        )

    def remove(self, container: int, item: Item) -> None:
        """Forget a version of an item."""
        for made, _ in self._lists.get(container, {}).values():
            self._connection.execute(
                "DELETE FROM entries WHERE list = ? AND partition = ? AND key = ? AND row = ?",
                [made.number, item.partition, made.key_of(item), item.row],
            )

    def remove_area(self, container: int, partition: str | None) -> None:
        """Forget a partition's rows, or all of a container with its lists."""
        for made, _ in self._lists.get(container, {}).values():
            condition, values = "list = ?", list[object]([made.number])
            if partition is not None:
                condition, values = "list = ? AND partition = ?", [made.number, partition]
            self._connection.execute(f"DELETE FROM entries WHERE {condition}", values)  # noqa: S608 - values are bound
        if partition is None:
            self._connection.execute("DELETE FROM lists WHERE container = ?", [container])
            self._lists.pop(container, None)

    def count(self, span: Span, now: float) -> int:
        """Count the live rows of a part, without reading any."""
        statement = (
            "SELECT COUNT(*) FROM entries WHERE list = ? AND partition = ? AND key >= ? "
            "AND key < ? AND (expires_at IS NULL OR expires_at > ?)"
        )
        values = [span.list_number, span.partition, span.low, span.high, now]
        with self._lock:
            return int(self._connection.execute(statement, values).fetchone()[0])

    def rows(self, span: Span) -> Iterator[int]:
        """Yield the rows of a part in order; equal keys by row, in both directions."""
        tied: list[int] = []
        before: bytes | None = None
        for key, row in self._entries(span):
            if key != before:
                yield from sorted(tied)
                tied, before = [], key
            tied.append(row)
        yield from sorted(tied)

    def _entries(self, span: Span) -> Iterator[tuple[bytes, int]]:
        low, high, size = (span.low, 0), (span.high, 0), 32
        statement = _BACKWARDS if span.backwards else _FORWARDS
        while True:
            values = [span.list_number, span.partition, *low, *high, size]
            with self._lock:
                chunk = self._connection.execute(statement, values).fetchall()
            yield from chunk
            if len(chunk) < size:
                return
            low, high = (low, chunk[-1]) if span.backwards else (chunk[-1], high)
            size = min(size * 4, _CHUNK)


def encode(value: Value, *, descending: bool = False) -> bytes:
    """Write a value so that the bytes sort as the values do."""
    order = type_order(value)
    if is_number(value):
        encoded = _number(value)
    elif isinstance(value, str):
        encoded = _text(value)
    elif isinstance(value, list | dict):
        encoded = _text(canonical(value))
    else:
        encoded = b""
    key = bytes([_FIRST_TYPE + order]) + encoded
    return key.translate(_INVERTED) if descending else key


def _number(value: float) -> bytes:
    bits: int = struct.unpack(">Q", struct.pack(">d", float(value) + 0.0))[0]
    return struct.pack(">Q", bits ^ (2**64 - 1 if bits >> 63 else 1 << 63))


def _text(text: str) -> bytes:
    return text.encode().replace(b"\0", b"\0\xff") + b"\0\0"
