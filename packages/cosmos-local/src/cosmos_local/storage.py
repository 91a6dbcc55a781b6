"""Documents in SQLite: what is stored, under which number, until when."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cosmos_local import packing, schema
from cosmos_local.lists import SortedLists
from cosmos_local.values import Document, dump

_COLUMNS = "row, partition, id, change, expires_at, etag, body, vectors"
_ALIVE = "(expires_at IS NULL OR expires_at > ?)"
_VERSIONS_KEPT = 200
_BUSY_SECONDS = 1.0  # how long a process that is ending may still hold the file
_CHUNK = 200  # rows read between two releases of the lock


class DatabaseInUseError(RuntimeError):
    """Another process has the database file open."""


@dataclass(frozen=True, slots=True)
class Item:
    """A stored document; its vectors are kept apart so that queries need not parse them."""

    row: int
    partition: str
    id: str
    change: int
    expires_at: float | None
    etag: str
    body: str
    vectors: bytes | None

    def text(self) -> str:
        """Return the whole document as JSON, joined without parsing."""
        if self.vectors is None:
            return self.body
        return f"{self.body[:-1]},{packing.unpack_text(self.vectors)}}}"

    def document(self, *, whole: bool = True) -> Document:
        """Return the document, with its vectors if `whole`."""
        document: Document = json.loads(self.text() if whole else self.body)
        return document

    def stamp(self) -> int:
        """Return the second of the last write."""
        return int(str(self.document(whole=False)["_ts"]))

    def is_expired(self, now: float) -> bool:
        """Tell whether the item has expired."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Area:
    """Which rows a scan may touch: one partition, a range of hashes, or the whole container."""

    container: int
    partition: str | None = None
    epk_from: str = ""
    epk_to: str = "FF"

    def condition(self) -> tuple[str, list[object]]:
        """Return the SQL that keeps a scan inside the area."""
        if self.partition is not None:
            return "container = ? AND partition = ?", [self.container, self.partition]
        if (self.epk_from, self.epk_to) == ("", "FF"):
            return "container = ?", [self.container]
        bounds: list[object] = [self.container, self.epk_from, self.epk_to]
        return "container = ? AND epk >= ? AND epk < ?", bounds


class Storage:
    """One SQLite database, used by one process; every use holds the lock."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file, or a database in memory."""
        self.lock = threading.RLock()
        self.path = path
        self.rows_read = 0
        self.rows_indexed = 0
        self._before: dict[tuple[int, str, str], Item | None] = {}
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            schema.prepare(self.connection)
        except sqlite3.OperationalError as error:
            self.connection.close()
            raise DatabaseInUseError(f"{path} is in use by another process ({error})") from error
        except BaseException:
            self.connection.close()
            raise
        self.lists = SortedLists(self.connection, self.lock)

    def close(self) -> None:
        """Close the file; what was committed is there for the next process."""
        with self.lock:
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do everything inside, or nothing."""
        with self.lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def next_number(self, counter: str) -> int:
        """Return the next number of a counter that never goes back, restarts included."""
        statement = (
            "INSERT INTO counters VALUES (?, 1) "
            "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
        )
        return int(self.connection.execute(statement, [counter]).fetchall()[0][0])

    def last_change(self, container: int) -> int:
        """Return the number of the container's newest change."""
        with self.lock:
            row = self.connection.execute(
                "SELECT value FROM counters WHERE name = ?", [f"change:{container}"]
            ).fetchone()
        return 0 if row is None else int(row[0])

    def last_commit(self, container: int) -> int:
        """Return the number of the container's newest write request; a batch is one."""
        with self.lock:
            row = self.connection.execute(
                "SELECT value FROM counters WHERE name = ?", [f"commit:{container}"]
            ).fetchone()
        return 0 if row is None else int(row[0])

    @contextmanager
    def commit(self, container: int) -> Iterator[None]:
        """Do everything inside as one write request, or nothing."""
        with self.transaction():
            yield
            self.next_number(f"commit:{container}")

    def find(self, container: int, partition: str, item_id: str) -> Item | None:
        """Return an item by its key, expired or not."""
        condition = "container = ? AND partition = ? AND id = ?"
        found = self._items(condition, [container, partition, item_id])
        return found[0] if found else None

    def at(self, row: int) -> Item | None:
        """Return the item in a row, expired or not."""
        found = self._items("row = ?", [row])
        return found[0] if found else None

    def usage(self, container: int) -> tuple[int, int]:
        """Return how many documents a container holds, and their bytes."""
        statement = "SELECT COUNT(*), TOTAL(LENGTH(body)) FROM items WHERE container = ?"
        with self.lock:
            count, size = self.connection.execute(statement, [container]).fetchone()
        return int(count), int(size)

    def version_before(
        self, container: int, partition: str, item_id: str, newest: Item | None
    ) -> Item | None:
        """Return what a lagging replica would have; an item not changed since the start is new."""
        return self._before.get((container, partition, item_id), newest)

    def insert(self, container: int, epk: str, item: Item) -> None:
        """Store a new item; the row number is given by the caller."""
        self._remember(container, item, None)
        values = [item.row, container, item.partition, item.id, epk, item.change, item.expires_at]
        values += [item.etag, item.body, item.vectors]
        self.connection.execute("INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        self.lists.put(container, item)

    def update(self, container: int, item: Item, old: Item) -> None:
        """Store a new version in the item's row; its id may be another."""
        self._remember(container, item, old)
        self.lists.remove(container, old)
        self.connection.execute(
            "UPDATE items SET id = ?, change = ?, expires_at = ?, etag = ?, body = ?, vectors = ? "
            "WHERE row = ?",
            [item.id, item.change, item.expires_at, item.etag, item.body, item.vectors, item.row],
        )
        self.lists.put(container, item)

    def delete(self, container: int, item: Item) -> None:
        """Remove an item, and count that as a change."""
        self._remember(container, item, item)
        self.lists.remove(container, item)
        change = self.next_number(f"change:{container}")
        self.connection.execute("DELETE FROM items WHERE row = ?", [item.row])
        self.connection.execute(
            "INSERT INTO removed VALUES (?, ?, ?, ?)", [container, item.partition, change, item.row]
        )

    def _remember(self, container: int, item: Item, before: Item | None) -> None:
        """Keep the replaced version of the newest writes, for stale reads."""
        key = (container, item.partition, item.id)
        self._before.pop(key, None)
        self._before[key] = before
        if len(self._before) > _VERSIONS_KEPT:
            del self._before[next(iter(self._before))]

    def delete_area(self, area: Area) -> int:
        """Remove every item of an area, count that as a change, and return how many there were."""
        condition, values = area.condition()
        change = self.next_number(f"change:{area.container}")
        self.connection.execute(
            f"INSERT INTO removed SELECT container, partition, ?, row FROM items WHERE {condition}",  # noqa: S608 - values are bound
            [change, *values],
        )
        self.lists.remove_area(area.container, area.partition)
        self.connection.execute(f"DELETE FROM snapshots WHERE {condition}", values)  # noqa: S608 - as above
        statement = f"DELETE FROM items WHERE {condition}"  # noqa: S608 - values are bound
        return self.connection.execute(statement, values).rowcount

    def scan(
        self,
        area: Area,
        now: float | None,
        *,
        narrowed: tuple[str, list[object]] = ("1", []),
        after_row: int = 0,
    ) -> Iterator[Item]:
        """Yield the area's live items in order of creation; without a time, expired ones too.

        The rows are read as they are asked for, and the lock is free in between.
        """
        condition, values = area.condition()
        alive = "1" if now is None else _ALIVE
        condition = f"{condition} AND row > ? AND {alive} AND {narrowed[0]} ORDER BY row LIMIT ?"
        size = 2
        while True:
            bound = [*values, after_row, *([] if now is None else [now]), *narrowed[1], size]
            chunk = self._items(condition, bound)
            for item in chunk:
                self.rows_read += 1
                yield item
            if len(chunk) < size:
                return
            after_row, size = chunk[-1].row, min(size * 4, _CHUNK)

    def partitions(self, area: Area) -> list[str]:
        """Return the partitions of an area."""
        condition, values = area.condition()
        statement = f"SELECT DISTINCT partition FROM items WHERE {condition} ORDER BY partition"  # noqa: S608 - values are bound
        with self.lock:
            return [row[0] for row in self.connection.execute(statement, values)]

    def removed(self, area: Area, after: int) -> set[int]:
        """Return the rows of a partition that were removed after a change number."""
        statement = "SELECT row FROM removed WHERE container = ? AND partition = ? AND change > ?"
        with self.lock:
            rows = self.connection.execute(statement, [area.container, area.partition, after])
            return {int(row[0]) for row in rows}

    def changed(self, area: Area, after: int, limit: int, *, with_body: bool = True) -> list[Item]:
        """Return the next items written after a change number, in that order, expired ones too."""
        condition, values = area.condition()
        columns = _COLUMNS if with_body else _COLUMNS.replace("body", "''")
        found = self._items(
            f"{condition} AND change > ? ORDER BY change LIMIT ?", [*values, after, limit], columns
        )
        self.rows_indexed += len(found)
        return found

    def rows_in(self, area: Area, now: float, narrowed: tuple[str, list[object]]) -> list[int]:
        """Return the numbers of the area's live rows that SQLite cannot rule out."""
        condition, values = area.condition()
        statement = (
            f"SELECT row FROM items WHERE {condition} AND {_ALIVE} AND {narrowed[0]} ORDER BY row"  # noqa: S608 - values are bound
        )
        with self.lock:
            rows = self.connection.execute(statement, [*values, now, *narrowed[1]])
            return [int(row[0]) for row in rows]

    def expiries(self, area: Area) -> list[tuple[int, float]]:
        """Return the rows of an area that expire, and when."""
        condition, values = area.condition()
        statement = f"SELECT row, expires_at FROM items WHERE {condition}"  # noqa: S608 - values are bound
        with self.lock:
            rows = self.connection.execute(f"{statement} AND expires_at IS NOT NULL", values)
            return [(int(row), float(moment)) for row, moment in rows]

    def load_snapshot(self, area: Area, path: str) -> tuple[int, bytes] | None:
        """Return what was saved of a search index, and the change it had come to."""
        statement = (
            "SELECT seen, data FROM snapshots WHERE container = ? AND partition = ? AND path = ?"
        )
        with self.lock:
            row = self.connection.execute(
                statement, [area.container, area.partition, path]
            ).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def save_snapshot(self, area: Area, path: str, seen: int, data: bytes) -> None:
        """Save a search index in the file; idempotent."""
        with self.lock:
            self.connection.execute(
                "REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)",
                [area.container, area.partition, path, seen, data],
            )

    def count(self, area: Area, now: float) -> int:
        """Count the live rows of an area from an index."""
        condition, values = area.condition()
        statement = f"SELECT COUNT(*) FROM items WHERE {condition} AND {_ALIVE}"  # noqa: S608 - values are bound
        with self.lock:
            return int(self.connection.execute(statement, [*values, now]).fetchone()[0])

    def is_large(self, area: Area, rows: int) -> bool:
        """Tell whether an area has more than so many rows."""
        condition, values = area.condition()
        statement = f"SELECT COUNT(*) FROM (SELECT 1 FROM items WHERE {condition} LIMIT ?)"  # noqa: S608 - values are bound
        with self.lock:
            return bool(
                self.connection.execute(statement, [*values, rows + 1]).fetchone()[0] > rows
            )

    def fetch(self, rows: Iterable[int], area: Area, now: float) -> Iterator[Item]:
        """Yield the live items of an area by their row numbers, as far as they are asked for."""
        condition, values = area.condition()
        for row in rows:
            self.rows_read += 1
            found = self._items(f"row = ? AND {condition} AND {_ALIVE}", [row, *values, now])
            yield from found

    def changes(self, area: Area, after: int, until: int, limit: int, now: float) -> list[Item]:
        """Return the newest version of each item changed after one change and up to another."""
        condition, values = area.condition()
        condition = f"{condition} AND change > ? AND change <= ? AND {_ALIVE} ORDER BY change"
        return self._items(f"{condition} LIMIT ?", [*values, after, until, now, limit])

    def _items(self, condition: str, values: list[object], columns: str = _COLUMNS) -> list[Item]:
        statement = f"SELECT {columns} FROM items WHERE {condition}"  # noqa: S608 - values are bound
        with self.lock:
            return [Item(*row) for row in self.connection.execute(statement, values).fetchall()]


def split_vectors(document: Document, names: tuple[str, ...]) -> tuple[str, bytes | None]:
    """Write a document as body and vectors."""
    vectors = {name: document[name] for name in names if name in document}
    if not vectors:
        return dump(document), None
    rest = {name: value for name, value in document.items() if name not in vectors}
    return dump(rest), packing.pack(vectors)
