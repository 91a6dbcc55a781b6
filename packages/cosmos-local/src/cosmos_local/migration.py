"""From the files of version 0.1, which had no number, to those of today."""

from __future__ import annotations

import json
import sqlite3
import zlib

from cosmos_local.packing import pack
from cosmos_local.values import dump

_RANGES = 4  # every container had as many


def migrate(connection: sqlite3.Connection) -> None:
    """Rewrite a file in one transaction: it is done, or nothing of it."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        _move_throughput(connection)
        _name_key_versions(connection)
        _pack_vectors(connection)
        connection.execute("UPDATE items SET epk = UPPER(epk)")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _move_throughput(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE offers (rid TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID"
    )
    for body, throughput in connection.execute(
        "SELECT body, throughput FROM containers"
    ).fetchall():
        container = json.loads(body)
        rid = container["_rid"]
        offer = {
            "id": f"o{rid}", "_rid": f"o{rid}", "_self": f"offers/o{rid}/", "_etag": '"offer"',
            "_ts": 0, "offerVersion": "V2", "offerType": "Invalid",
            "resource": container["_self"], "offerResourceId": rid,
            "content": {"offerThroughput": throughput},
        }  # fmt: skip
        connection.execute("INSERT INTO offers VALUES (?, ?)", [rid, dump(offer)])
    connection.execute("ALTER TABLE containers DROP COLUMN throughput")
    connection.execute(f"ALTER TABLE containers ADD ranges INTEGER NOT NULL DEFAULT {_RANGES}")


def _name_key_versions(connection: sqlite3.Connection) -> None:
    for number, body in connection.execute("SELECT number, body FROM containers").fetchall():
        container = json.loads(body)
        container["partitionKey"] = {"kind": "Hash", "version": 2} | container["partitionKey"]
        connection.execute(
            "UPDATE containers SET body = ? WHERE number = ?", [dump(container), number]
        )


def _pack_vectors(connection: sqlite3.Connection) -> None:
    statement = "SELECT row, vectors FROM items WHERE vectors IS NOT NULL AND row > ? ORDER BY row"
    last = 0
    while rows := connection.execute(f"{statement} LIMIT 500", [last]).fetchall():
        for row, packed in rows:
            vectors = pack(json.loads(zlib.decompress(packed)))
            connection.execute("UPDATE items SET vectors = ? WHERE row = ?", [vectors, row])
        last = rows[-1][0]
