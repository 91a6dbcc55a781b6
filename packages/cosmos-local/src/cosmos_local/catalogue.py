"""The databases and containers there are."""

from __future__ import annotations

import base64
import json
import struct

from cosmos_local.clock import Clock
from cosmos_local.containers import DEFAULT_INDEXING, Definition, define
from cosmos_local.errors import bad_request, conflict, owner_not_found
from cosmos_local.items import check_id, new_etag
from cosmos_local.storage import Area, Storage
from cosmos_local.values import Document, dump

DEFAULT_THROUGHPUT = 400


class Catalogue:
    """Creates, finds, replaces and deletes databases and containers."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        """Read from the storage; definitions are parsed once."""
        self._storage = storage
        self._clock = clock
        self._parsed: dict[tuple[str, str], Definition] = {}

    def declare(self, declaration: Document) -> None:
        """Make the declared database and containers exist exactly as declared."""
        database = str(declaration["database"])
        containers = declaration["containers"]
        if not isinstance(containers, list):
            raise TypeError("the declaration's containers must be a list")
        with self._storage.transaction():
            if not any(existing["id"] == database for existing in self.databases()):
                self.create_database({"id": database})
            known = {str(existing["id"]) for existing in self.containers(database)}
            for properties in containers:
                if properties["id"] in known:
                    self._update(database, properties["id"], properties)
                else:
                    self.create_container(database, dict(properties), DEFAULT_THROUGHPUT)

    def databases(self) -> list[Document]:
        """Return all databases."""
        return [
            json.loads(row[0])
            for row in self._storage.connection.execute("SELECT body FROM databases")
        ]

    def database(self, name: str) -> Document:
        """Return a database, or answer 404."""
        statement = "SELECT body FROM databases WHERE id = ?"
        row = self._storage.connection.execute(statement, [name]).fetchone()
        if row is None:
            raise owner_not_found(name)
        found: Document = json.loads(row[0])
        return found

    def create_database(self, body: Document) -> Document:
        """Create a database."""
        name = check_id(body)
        if any(existing["id"] == name for existing in self.databases()):
            raise conflict("Resource with specified id or name already exists.")
        number = self._storage.next_number("database")
        created = {"id": name} | self._system(_rid(number), f"dbs/{_rid(number)}/")
        created |= {"_colls": "colls/", "_users": "users/"}
        self._storage.connection.execute(
            "INSERT INTO databases VALUES (?, ?, ?)", [number, name, dump(created)]
        )
        return created

    def delete_database(self, name: str) -> None:
        """Delete a database with everything in it."""
        self.database(name)
        for container in self.containers(name):
            self.delete_container(name, str(container["id"]))
        self._storage.connection.execute("DELETE FROM databases WHERE id = ?", [name])

    def containers(self, database: str) -> list[Document]:
        """Return the properties of a database's containers."""
        statement = "SELECT body FROM containers WHERE database = ?"
        return [
            json.loads(row[0]) for row in self._storage.connection.execute(statement, [database])
        ]

    def container(self, database: str, name: str) -> Definition:
        """Return a container's definition, or answer 404."""
        if (database, name) not in self._parsed:
            statement = "SELECT number, body FROM containers WHERE database = ? AND id = ?"
            row = self._storage.connection.execute(statement, [database, name]).fetchone()
            if row is None:
                raise owner_not_found(name)
            properties: Document = json.loads(row[1])
            self._parsed[database, name] = define(row[0], str(properties["_rid"]), properties)
        return self._parsed[database, name]

    def create_container(self, database: str, body: Document, throughput: int) -> Document:
        """Create a container."""
        self.database(database)
        name = check_id(body)
        if any(existing["id"] == name for existing in self.containers(database)):
            raise conflict("Resource with specified id or name already exists.")
        number = self._storage.next_number("container")
        rid = _rid(1, number)
        created = (
            {"indexingPolicy": DEFAULT_INDEXING}
            | body
            | self._system(rid, f"dbs/{_rid(1)}/colls/{rid}/")
        )
        created["_docs"] = "docs/"
        define(number, rid, created)
        self._storage.connection.execute(
            "INSERT INTO containers VALUES (?, ?, ?, ?, ?)",
            [number, database, name, dump(created), throughput],
        )
        return created

    def replace_container(self, database: str, name: str, body: Document) -> Document:
        """Change a container's mutable properties; keys and vector policies are for ever."""
        old = self.container(database, name).properties
        if body.get("id") != name:
            raise bad_request("The id of a container cannot be changed.")
        for fixed in ("partitionKey", "uniqueKeyPolicy"):
            if body.get(fixed, old.get(fixed)) != old.get(fixed):
                raise bad_request(f"The {fixed} of a container cannot be changed.")
        return self._update(database, name, {"indexingPolicy": old["indexingPolicy"]} | body)

    def delete_container(self, database: str, name: str) -> None:
        """Delete a container with its items."""
        number = self.container(database, name).number
        self._storage.delete_area(Area(number))
        self._storage.connection.execute("DELETE FROM containers WHERE number = ?", [number])
        del self._parsed[database, name]

    def set_throughput(self, rid: str, throughput: int) -> None:
        """Store another throughput, which has no meaning here."""
        statement = "UPDATE containers SET throughput = ? WHERE json_extract(body, '$._rid') = ?"
        if self._storage.connection.execute(statement, [throughput, rid]).rowcount == 0:
            raise owner_not_found(rid)

    def by_rid(self, rid: str) -> tuple[Document, int] | None:
        """Return the properties and throughput of a container by its resource id."""
        statement = "SELECT body, throughput FROM containers WHERE json_extract(body, '$._rid') = ?"
        row = self._storage.connection.execute(statement, [rid]).fetchone()
        return None if row is None else (json.loads(row[0]), int(row[1]))

    def _update(self, database: str, name: str, properties: Document) -> Document:
        old = self.container(database, name)
        kept = {key: value for key, value in old.properties.items() if key.startswith("_")}
        if _policy_key(old.properties) != _policy_key(
            {"indexingPolicy": DEFAULT_INDEXING} | properties
        ):
            raise bad_request(f"The partitionKey of a container cannot be changed ({name}).")
        before, after = (
            old.properties.get("vectorEmbeddingPolicy"),
            properties.get("vectorEmbeddingPolicy"),
        )
        if before is not None and after != before:
            raise bad_request(
                f"The vectorEmbeddingPolicy of a container cannot be changed ({name})."
            )
        updated = {"indexingPolicy": DEFAULT_INDEXING} | properties | kept
        updated |= {"_etag": new_etag(), "_ts": int(self._clock.now())}
        define(old.number, old.rid, updated)
        statement = "UPDATE containers SET body = ? WHERE number = ?"
        self._storage.connection.execute(statement, [dump(updated), old.number])
        del self._parsed[database, name]
        return updated

    def _system(self, rid: str, link: str) -> Document:
        return {"_rid": rid, "_self": link, "_etag": new_etag(), "_ts": int(self._clock.now())}


def _policy_key(properties: Document) -> object:
    key = properties.get("partitionKey")
    return key.get("paths") if isinstance(key, dict) else None


def _rid(*numbers: int) -> str:
    packed = b"".join(struct.pack(">I", number) for number in numbers)
    return base64.b64encode(packed).decode().replace("/", "-")
