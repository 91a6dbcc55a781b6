"""The tables of the SQLite database, and how older files become the newest."""

from __future__ import annotations

import sqlite3

from cosmos_local.migration import migrate

VERSION = 1
PAGE_BYTES = 8192  # three items with a vector of 512 numbers fit
TABLES = """
CREATE TABLE IF NOT EXISTS counters (
    name TEXT PRIMARY KEY, value INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS databases (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS containers (
    number INTEGER PRIMARY KEY, database TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    ranges INTEGER NOT NULL, UNIQUE (database, id)
);
CREATE TABLE IF NOT EXISTS offers (rid TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    row INTEGER PRIMARY KEY, container INTEGER NOT NULL, partition TEXT NOT NULL, id TEXT NOT NULL,
    epk TEXT NOT NULL, change INTEGER NOT NULL, expires_at REAL, etag TEXT NOT NULL,
    body TEXT NOT NULL, vectors BLOB, UNIQUE (container, partition, id)
);
CREATE INDEX IF NOT EXISTS items_by_change ON items (container, change);
CREATE INDEX IF NOT EXISTS items_by_partition ON items (container, partition, row, expires_at);
CREATE INDEX IF NOT EXISTS items_by_news ON items (container, partition, change);
CREATE INDEX IF NOT EXISTS items_by_id ON items (container, id);
CREATE INDEX IF NOT EXISTS items_by_epk ON items (container, epk);
CREATE TABLE IF NOT EXISTS removed (
    container INTEGER NOT NULL, partition TEXT NOT NULL, change INTEGER NOT NULL,
    row INTEGER NOT NULL, PRIMARY KEY (container, partition, change, row)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lists (
    number INTEGER PRIMARY KEY, container INTEGER NOT NULL, keys TEXT NOT NULL,
    built INTEGER NOT NULL, UNIQUE (container, keys)
);
CREATE TABLE IF NOT EXISTS entries (
    list INTEGER NOT NULL, partition TEXT NOT NULL, key BLOB NOT NULL, row INTEGER NOT NULL,
    expires_at REAL, PRIMARY KEY (list, partition, key, row)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS snapshots (
    container INTEGER NOT NULL, partition TEXT NOT NULL, path TEXT NOT NULL,
    seen INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (container, partition, path)
);
"""


class NewerFileError(RuntimeError):
    """The file was written by a later version of this program."""


def prepare(connection: sqlite3.Connection) -> None:
    """Lock the file for this process and create what is missing.

    Raises:
        sqlite3.OperationalError: another process has the file open.
        NewerFileError: the file is of a later version.
    """
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    for statement in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
        connection.execute(f"PRAGMA {statement}")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if version > VERSION:
        raise NewerFileError(f"the database file needs a newer cosmos-local ({version})")
    if tables and version == 0:
        migrate(connection)
    connection.executescript(TABLES)
    connection.execute(f"PRAGMA user_version = {VERSION}")
