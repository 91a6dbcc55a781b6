"""Documents in SQLite: what is stored, under which number, until when."""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cosmos_local.values import Document, dump

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS databases (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS containers (
    number INTEGER PRIMARY KEY, database TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    throughput INTEGER NOT NULL, UNIQUE (database, id)
);
CREATE TABLE IF NOT EXISTS items (
    row INTEGER PRIMARY KEY, container INTEGER NOT NULL, partition TEXT NOT NULL, id TEXT NOT NULL,
    epk TEXT NOT NULL, change INTEGER NOT NULL, expires_at REAL, etag TEXT NOT NULL,
    body TEXT NOT NULL, vectors BLOB, UNIQUE (container, partition, id)
);
CREATE INDEX IF NOT EXISTS items_by_change ON items (container, change);
CREATE INDEX IF NOT EXISTS items_by_partition ON items (container, partition, row, expires_at);
CREATE INDEX IF NOT EXISTS items_by_news ON items (container, partition, change);
CREATE INDEX IF NOT EXISTS items_by_epk ON items (container, epk);
"""
_COLUMNS = "row, partition, id, change, expires_at, etag, body, vectors"
_VERSIONS_KEPT = 200
_BUSY_SECONDS = 1.0  # a process that is just ending gets this long to let go of the file


class DatabaseInUseError(RuntimeError):
    """Another process has the database file open."""


@dataclass(frozen=True, slots=True)
class Item:
    """A stored document; the vectors are kept apart so that queries need not parse them."""

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
        return (
            self.body
            if self.vectors is None
            else f"{self.body[:-1]},{zlib.decompress(self.vectors).decode()[1:]}"
        )

    def document(self, *, whole: bool = True) -> Document:
        """Return the document, with its vectors if `whole`."""
        document: Document = json.loads(self.text() if whole else self.body)
        return document

    def stamp(self) -> int:
        """Return the second of the last write."""
        return int(str(self.document(whole=False)["_ts"]))

    def is_expired(self, now: float) -> bool:
        """Tell whether the time to live is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Area:
    """Which rows a scan may touch: one partition, or a range of hashes, or the whole container."""

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
        return "container = ? AND epk >= ? AND epk < ?", [
            self.container,
            self.epk_from,
            self.epk_to,
        ]


class Storage:
    """One SQLite database, used by one process; every use holds the lock."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file, or a database in memory."""
        self.lock = threading.RLock()
        self.rows_read = 0
        self.rows_indexed = 0
        self.removals = 0
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
            self._prepare()
        except sqlite3.OperationalError as error:
            self.connection.close()
            raise DatabaseInUseError(f"{path} is in use by another process ({error})") from error

    def _prepare(self) -> None:
        for statement in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
            self.connection.execute(f"PRAGMA {statement}")
        self.connection.execute("BEGIN EXCLUSIVE")
        self.connection.execute("COMMIT")
        self.connection.executescript(_SCHEMA)

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
        statement = "INSERT INTO counters VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
        return int(self.connection.execute(statement, [counter]).fetchall()[0][0])

    def last_change(self, container: int) -> int:
        """Return the number of the container's newest change."""
        row = self.connection.execute(
            "SELECT value FROM counters WHERE name = ?", [f"change:{container}"]
        ).fetchone()
        return 0 if row is None else int(row[0])

    def find(self, container: int, partition: str, item_id: str) -> Item | None:
        """Return an item by its key, expired or not."""
        statement = f"SELECT {_COLUMNS} FROM items WHERE container = ? AND partition = ? AND id = ?"  # noqa: S608 - constants
        row = self.connection.execute(statement, [container, partition, item_id]).fetchone()
        return None if row is None else Item(*row)

    def version_before(
        self, container: int, partition: str, item_id: str, newest: Item | None
    ) -> Item | None:
        """Return what a lagging replica would still have; what was never changed since the start is the newest."""
        return self._before.get((container, partition, item_id), newest)

    def insert(self, container: int, epk: str, item: Item) -> None:
        """Store a new item; the row number is given by the caller."""
        self._remember(container, item, None)
        self.connection.execute(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [item.row, container, item.partition, item.id, epk, item.change, item.expires_at, item.etag, item.body,
             item.vectors],
        )  # fmt: skip

    def update(self, container: int, item: Item, old: Item) -> None:
        """Store a new version in the item's row."""
        self._remember(container, item, old)
        self.connection.execute(
            "UPDATE items SET change = ?, expires_at = ?, etag = ?, body = ?, vectors = ? WHERE row = ?",
            [item.change, item.expires_at, item.etag, item.body, item.vectors, item.row],
        )

    def delete(self, container: int, item: Item) -> None:
        """Remove an item."""
        self._remember(container, item, item)
        self.removals += 1
        self.connection.execute("DELETE FROM items WHERE row = ?", [item.row])

    def _remember(self, container: int, item: Item, before: Item | None) -> None:
        """Keep the replaced version of the newest writes, for stale reads."""
        key = (container, item.partition, item.id)
        self._before.pop(key, None)
        self._before[key] = before
        if len(self._before) > _VERSIONS_KEPT:
            del self._before[next(iter(self._before))]

    def delete_area(self, area: Area) -> int:
        """Remove every item of an area and return how many there were."""
        condition, values = area.condition()
        self.removals += 1
        return self.connection.execute(f"DELETE FROM items WHERE {condition}", values).rowcount  # noqa: S608 - constants

    def scan(
        self,
        area: Area,
        now: float | None,
        *,
        narrowed: tuple[str, list[object]] = ("1", []),
        after_row: int = 0,
    ) -> Iterator[Item]:
        """Yield the area's live items in order of creation; without a time, the expired ones too."""
        condition, values = area.condition()
        alive = "1" if now is None else "(expires_at IS NULL OR expires_at > ?)"
        statement = f"SELECT {_COLUMNS} FROM items WHERE {condition} AND row > ? AND {alive} AND {narrowed[0]} ORDER BY row"  # noqa: S608 - values are bound
        parameters = [*values, after_row, *([] if now is None else [now]), *narrowed[1]]
        for row in self.connection.execute(statement, parameters):
            self.rows_read += 1
            yield Item(*row)

    def partitions(self, area: Area) -> list[str]:
        """Return the partitions of an area."""
        condition, values = area.condition()
        statement = f"SELECT DISTINCT partition FROM items WHERE {condition} ORDER BY partition"  # noqa: S608 - values are bound
        return [row[0] for row in self.connection.execute(statement, values)]

    def rows_of(self, area: Area) -> set[int]:
        """Return the row numbers of an area, expired ones too."""
        condition, values = area.condition()
        return {
            row[0]
            for row in self.connection.execute(f"SELECT row FROM items WHERE {condition}", values)  # noqa: S608
        }

    def changed(self, area: Area, after: int) -> Iterator[Item]:
        """Yield the items of an area that were written after a change number, expired ones too."""
        condition, values = area.condition()
        statement = f"SELECT {_COLUMNS} FROM items WHERE {condition} AND change > ?"  # noqa: S608 - values are bound
        for row in self.connection.execute(statement, [*values, after]):
            self.rows_indexed += 1
            yield Item(*row)

    def matching_rows(
        self, area: Area, now: float, narrowed: tuple[str, list[object]]
    ) -> list[int]:
        """Return the row numbers of the area's live items that SQLite cannot rule out."""
        condition, values = area.condition()
        statement = (
            f"SELECT row FROM items WHERE {condition} "  # noqa: S608 - values are bound
            f"AND (expires_at IS NULL OR expires_at > ?) AND {narrowed[0]} ORDER BY row"
        )
        return [row[0] for row in self.connection.execute(statement, [*values, now, *narrowed[1]])]

    def fetch(self, rows: Iterable[int]) -> Iterator[Item]:
        """Yield items by their row numbers, one by one, as far as they are asked for."""
        statement = f"SELECT {_COLUMNS} FROM items WHERE row = ?"  # noqa: S608 - constants
        for row in rows:
            self.rows_read += 1
            yield Item(*self.connection.execute(statement, [row]).fetchone())

    def changes(self, area: Area, after: int, until: int, limit: int, now: float) -> list[Item]:
        """Return the newest version of each item changed after one change number and up to another."""
        condition, values = area.condition()
        statement = (
            f"SELECT {_COLUMNS} FROM items WHERE {condition} AND change > ? AND change <= ? "  # noqa: S608 - values are bound
            "AND (expires_at IS NULL OR expires_at > ?) ORDER BY change LIMIT ?"
        )
        return [
            Item(*row)
            for row in self.connection.execute(statement, [*values, after, until, now, limit])
        ]


def split_vectors(document: Document, names: tuple[str, ...]) -> tuple[str, bytes | None]:
    """Write a document as body and vectors, the latter packed so that both fit one page."""
    vectors = {name: document[name] for name in names if name in document}
    if not vectors:
        return dump(document), None
    return dump(
        {name: value for name, value in document.items() if name not in vectors}
    ), zlib.compress(dump(vectors).encode(), 1)
