"""Files of older versions."""

from __future__ import annotations

import json
import sqlite3
import zlib
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos
from cosmos_local.schema import NewerFileError

OLD = """
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE databases (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
CREATE TABLE containers (
    number INTEGER PRIMARY KEY, database TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,
    throughput INTEGER NOT NULL, UNIQUE (database, id)
);
CREATE TABLE items (
    row INTEGER PRIMARY KEY, container INTEGER NOT NULL, partition TEXT NOT NULL, id TEXT NOT NULL,
    epk TEXT NOT NULL, change INTEGER NOT NULL, expires_at REAL, etag TEXT NOT NULL,
    body TEXT NOT NULL, vectors BLOB, UNIQUE (container, partition, id)
);
INSERT INTO counters VALUES ('database', 1), ('container', 1), ('row', 1), ('change:1', 1);
INSERT INTO databases VALUES (1, 'db', '{"id":"db","_rid":"AAAAAQ==","_self":"dbs/AAAAAQ==/"}');
"""
VECTOR = {"path": "/v", "dataType": "float32", "distanceFunction": "cosine", "dimensions": 2}
CONTAINER = {
    "id": "c", "partitionKey": {"paths": ["/pk"]}, "_rid": "AAAAAQAAAAE=",
    "_self": "dbs/AAAAAQ==/colls/AAAAAQAAAAE=/", "_etag": '"x"', "_ts": 1,
    "indexingPolicy": {"includedPaths": [{"path": "/*"}]},
    "vectorEmbeddingPolicy": {"vectorEmbeddings": [VECTOR]},
}  # fmt: skip


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Write a file as version 0.1 did, with one item."""
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(OLD)
        connection.execute(
            "INSERT INTO containers VALUES (1, 'db', 'c', ?, 700)", [json.dumps(CONTAINER)]
        )
        connection.execute(
            "INSERT INTO items VALUES (1, 1, '[\"a\"]', '1', ?, 1, NULL, '\"e\"', ?, ?)",
            ["3C7A" + "0" * 28, '{"id":"1","pk":"a","_ts":1}',
             zlib.compress(json.dumps({"v": [0.25, 1]}).encode(), 1)],
        )  # fmt: skip
    connection.close()
    return path


def test_an_old_file_is_taken_over(old: Path) -> None:
    """Items, vectors and throughput are there, and the file can be written to."""
    for _ in range(2):
        cosmos = LocalCosmos.open(old, allow_create=True)
        client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.sync_transport())
        container = client.get_database_client("db").get_container_client("c")
        assert container.read_item("1", "a")["v"] == [0.25, 1]
        assert container.read()["partitionKey"]["version"] == 2
        assert container.get_throughput().offer_throughput == 700
        container.upsert_item({"id": "2", "pk": "a", "v": [1, 0]})
        query = "SELECT TOP 1 VALUE c.id FROM c ORDER BY VectorDistance(c.v, [0.2, 1])"
        found: list[Any] = list(container.query_items(query, partition_key="a"))
        assert found == ["1"]
        client.close()
        cosmos.close()


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    """A file of a later version is not opened, and not changed."""
    path = tmp_path / "new.sqlite"
    LocalCosmos.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(NewerFileError, match="newer"):
        LocalCosmos.open(path)


def test_a_failed_migration_changes_nothing(old: Path) -> None:
    """What cannot be read leaves the file as it was."""
    with sqlite3.connect(old) as connection:
        connection.execute("UPDATE items SET vectors = x'00'")
    connection.close()
    with pytest.raises(zlib.error):
        LocalCosmos.open(old)
    with sqlite3.connect(old) as connection:
        assert connection.execute("SELECT throughput FROM containers").fetchone() == (700,)
    connection.close()
