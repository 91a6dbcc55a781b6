"""The databases and containers of an account."""

from __future__ import annotations

import json

from cosmos_local.clock import Clock
from cosmos_local.containers import Definition, define
from cosmos_local.errors import bad_request, conflict, owner_not_found
from cosmos_local.index_policy import fill_in
from cosmos_local.items import check_id, new_etag
from cosmos_local.offers import Offers
from cosmos_local.rids import container_rid, database_rid
from cosmos_local.storage import Area, Storage
from cosmos_local.values import Document, dump

RANGE_THROUGHPUT = 10_000  # of one physical partition
MAX_RANGES = 16
LAST_WRITER: Document = {
    "mode": "LastWriterWins",
    "conflictResolutionPath": "/_ts",
    "conflictResolutionProcedure": "",
}
DEFAULT_CONTENT: Document = {"offerThroughput": 400}


class Catalogue:
    """Creates, finds, replaces and deletes databases and containers."""

    def __init__(self, storage: Storage, clock: Clock, range_count: int | None) -> None:
        """Read from the storage; without a range count, new containers have the service's."""
        self.offers = Offers(storage)
        self._storage = storage
        self._clock = clock
        self._range_count = range_count
        self._parsed: dict[tuple[str, str], Definition] = {}

    def declare(self, declaration: Document) -> None:
        """Make the declared database and containers exist exactly as declared; idempotent."""
        database = str(declaration["database"])
        containers = declaration["containers"]
        if not isinstance(containers, list):
            raise TypeError("the declaration's containers must be a list")
        with self._storage.transaction():
            if not any(existing["id"] == database for existing in self.databases()):
                self.create_database({"id": database}, None)
            known = {str(existing["id"]) for existing in self.containers(database)}
            for properties in containers:
                if properties["id"] in known:
                    self._update(database, properties["id"], properties)
                else:
                    self.create_container(database, dict(properties), None)

    def databases(self) -> list[Document]:
        """Return all databases."""
        rows = self._storage.connection.execute("SELECT body FROM databases ORDER BY number")
        return [json.loads(row[0]) for row in rows]

    def database(self, name: str) -> Document:
        """Return a database, or answer 404."""
        statement = "SELECT body FROM databases WHERE id = ?"
        row = self._storage.connection.execute(statement, [name]).fetchone()
        if row is None:
            raise owner_not_found(name)
        found: Document = json.loads(row[0])
        return found

    def create_database(self, body: Document, content: Document | None) -> Document:
        """Create a database, with throughput of its own if asked for."""
        name = check_id(body)
        if any(existing["id"] == name for existing in self.databases()):
            raise conflict("Resource with specified id or name already exists.")
        number = self._storage.next_number("database")
        rid = database_rid(number)
        created = {"id": name} | self._system(rid, f"dbs/{rid}/")
        created |= {"_colls": "colls/", "_users": "users/"}
        self._storage.connection.execute(
            "INSERT INTO databases VALUES (?, ?, ?)", [number, name, dump(created)]
        )
        if content is not None:
            self.offers.create(created, content)
        return created

    def delete_database(self, name: str) -> None:
        """Delete a database with everything in it."""
        rid = str(self.database(name)["_rid"])
        for container in self.containers(name):
            self.delete_container(name, str(container["id"]))
        self.offers.delete(rid)
        self._storage.connection.execute("DELETE FROM databases WHERE id = ?", [name])

    def containers(self, database: str) -> list[Document]:
        """Return the properties of a database's containers."""
        statement = "SELECT body FROM containers WHERE database = ? ORDER BY number"
        rows = self._storage.connection.execute(statement, [database])
        return [json.loads(row[0]) for row in rows]

    def container(self, database: str, name: str) -> Definition:
        """Return a container's definition, or answer 404."""
        if (database, name) not in self._parsed:
            statement = "SELECT number, body, ranges FROM containers WHERE database = ? AND id = ?"
            row = self._storage.connection.execute(statement, [database, name]).fetchone()
            if row is None:
                raise owner_not_found(name)
            properties: Document = json.loads(row[1])
            self._parsed[database, name] = _define(row[0], properties, row[2])
        return self._parsed[database, name]

    def create_container(self, database: str, body: Document, content: Document | None) -> Document:
        """Create a container; without throughput of its own or its database's, it has the least."""
        owner = self.database(database)
        name = check_id(body)
        if any(existing["id"] == name for existing in self.containers(database)):
            raise conflict("Resource with specified id or name already exists.")
        number = self._storage.next_number("container")
        rid = container_rid(str(owner["_rid"]), number)
        created = _filled(body) | self._system(rid, f"dbs/{owner['_rid']}/colls/{rid}/")
        created |= {"_docs": "docs/", "_sprocs": "sprocs/", "_triggers": "triggers/"}
        created |= {"_udfs": "udfs/", "_conflicts": "conflicts/"}
        ranges = self._range_count or _ranges_for(content or DEFAULT_CONTENT)
        definition = _define(number, created, ranges)
        shared = content is None and self.offers.has(str(owner["_rid"]))
        if shared and definition.vectors:
            raise bad_request("Vector search is not supported with shared database throughput.")
        self._storage.connection.execute(
            "INSERT INTO containers VALUES (?, ?, ?, ?, ?)",
            [number, database, name, dump(created), ranges],
        )
        if not shared:
            self.offers.create(created, content or DEFAULT_CONTENT)
        return created

    def replace_container(self, database: str, name: str, body: Document) -> Document:
        """Change a container's mutable properties; keys and vector policies are immutable."""
        existing = self.container(database, name)
        old = existing.properties
        if body.get("id") != name:
            raise bad_request("The id of a container cannot be changed.")
        if body.get("uniqueKeyPolicy", old.get("uniqueKeyPolicy")) != old.get("uniqueKeyPolicy"):
            raise bad_request("The uniqueKeyPolicy of a container cannot be changed.")
        if "partitionKey" not in body:
            raise bad_request("The partitionKey of a container cannot be left out.")
        body = {"indexingPolicy": old["indexingPolicy"]} | body
        filled = _filled(body) | {"_rid": old["_rid"]}
        new = _define(0, filled, existing.key.range_count).properties
        if _vector_indexes(old) != _vector_indexes(new):
            raise bad_request(
                "Paths in existing vector indexing policy cannot be modified in Collection Replace."
            )
        if old.get("vectorEmbeddingPolicy") != new.get("vectorEmbeddingPolicy"):
            raise bad_request(
                "Paths in existing embedding policy cannot be modified in Collection Replace."
            )
        return self._update(database, name, body)

    def delete_container(self, database: str, name: str) -> None:
        """Delete a container with its items."""
        definition = self.container(database, name)
        self._storage.delete_area(Area(definition.number))
        self._storage.connection.execute(
            "DELETE FROM containers WHERE number = ?", [definition.number]
        )
        self.offers.delete(definition.rid)
        del self._parsed[database, name]

    def _update(self, database: str, name: str, properties: Document) -> Document:
        old = self.container(database, name)
        kept = {key: value for key, value in old.properties.items() if key.startswith("_")}
        updated = _filled(properties) | kept
        updated |= {"_etag": new_etag(), "_ts": int(self._clock.now())}
        new = _define(old.number, updated, old.key.range_count)
        if new.key != old.key:
            raise bad_request(f"The partitionKey of a container cannot be changed ({name}).")
        before = old.properties.get("vectorEmbeddingPolicy")
        if before is not None and properties.get("vectorEmbeddingPolicy") != before:
            raise bad_request(
                f"The vectorEmbeddingPolicy of a container cannot be changed ({name})."
            )
        statement = "UPDATE containers SET body = ? WHERE number = ?"
        self._storage.connection.execute(statement, [dump(updated), old.number])
        del self._parsed[database, name]
        return updated

    def _system(self, rid: str, link: str) -> Document:
        return {"_rid": rid, "_self": link, "_etag": new_etag(), "_ts": int(self._clock.now())}


def _define(number: int, properties: Document, ranges: int) -> Definition:
    return define(number, str(properties["_rid"]), properties, ranges)


def _ranges_for(content: Document) -> int:
    """Return how many partitions the service starts a container with."""
    settings = content.get("offerAutopilotSettings")
    most = settings.get("maxThroughput") if isinstance(settings, dict) else None
    throughput = int(str(most or content["offerThroughput"]))
    return min(-(-throughput // RANGE_THROUGHPUT), MAX_RANGES)


def _filled(properties: Document) -> Document:
    """Return properties without null members, and with a complete indexing policy."""
    given = {key: value for key, value in properties.items() if not key.startswith("_")}
    present = {key: value for key, value in given.items() if value is not None}
    policy = present.get("indexingPolicy", {})
    if not isinstance(policy, dict):
        raise bad_request("The indexingPolicy must be an object.")
    key = present.get("partitionKey")
    if isinstance(key, dict):  # without a version, newer API versions make a large key
        present["partitionKey"] = {"kind": "Hash", "version": 2} | key
    return {"conflictResolutionPolicy": LAST_WRITER} | present | {"indexingPolicy": fill_in(policy)}


def _vector_indexes(properties: Document) -> object:
    policy = properties.get("indexingPolicy")
    return (policy.get("vectorIndexes") or []) if isinstance(policy, dict) else []
