"""Single items: create, read, replace, upsert, delete, patch."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from cosmos_local.clock import Clock
from cosmos_local.containers import Definition
from cosmos_local.errors import (
    bad_request,
    conflict,
    item_not_found,
    precondition_failed,
    too_large,
)
from cosmos_local.keys import key_mismatch
from cosmos_local.patch import Patch
from cosmos_local.rids import document_rid
from cosmos_local.storage import Area, Item, Storage, split_vectors
from cosmos_local.values import Document, Undefined, Value, canonical, dig, equal, is_number

MAX_ITEM_BYTES = 2 * 1024 * 1024
MAX_ID_BYTES = 1023
MAX_DEPTH = 128
SYSTEM = ("_rid", "_self", "_etag", "_attachments", "_ts")


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did: 200 or 201, and what is stored now."""

    status: int
    item: Item

    @property
    def is_replacement(self) -> bool:
        """Tell whether an older version was replaced."""
        return self.status == 200  # noqa: PLR2004 - OK, not Created


class Items:
    """The items of one container."""

    def __init__(self, definition: Definition, storage: Storage, clock: Clock) -> None:
        """Work on the container's part of the storage."""
        self._definition = definition
        self._storage = storage
        self._clock = clock

    @property
    def container(self) -> int:
        """Return the number of the container."""
        return self._definition.number

    def read(self, key: list[Value], item_id: str, *, stale: bool = False) -> Item:
        """Return a live item, or answer 404; a stale read sees the version before the newest."""
        item = self._live(key, item_id)
        if stale:
            item = self._storage.version_before(
                self._definition.number, canonical(key), item_id, item
            )
        if item is None:
            raise item_not_found()
        return item

    def create(self, key: list[Value], document: Document) -> Written:
        """Store a new item, or answer 409; an expired one is no longer in the way."""
        item_id = self._check(key, document)
        if self._live(key, item_id) is not None:
            raise conflict()
        return self._write(key, item_id, document, None)

    def upsert(self, key: list[Value], document: Document, if_match: str | None = None) -> Written:
        """Store an item, new or not; an ETag for an item that is gone is refused as a mistake."""
        item_id = self._check(key, document)
        old = self._live(key, item_id)
        if old is None and if_match is not None:
            raise bad_request(
                "An upsert with If-Match of an item that is gone would create it; use a replace."
            )
        if old is not None:
            check_etag(old, if_match)
        return self._write(key, item_id, document, old)

    def replace(
        self, key: list[Value], item_id: str, document: Document, if_match: str | None = None
    ) -> Written:
        """Store a new version of an item that exists; it may have another id, if that is free."""
        new_id = self._check(key, document)
        old = self.read(key, item_id)
        check_etag(old, if_match)
        if new_id != item_id:
            self._make_room(key, new_id)
        return self._write(key, new_id, document, old)

    def delete(self, key: list[Value], item_id: str, if_match: str | None = None) -> Item:
        """Remove an item and return what it was."""
        old = self.read(key, item_id)
        check_etag(old, if_match)
        self._storage.delete(self._definition.number, old)
        return old

    def patch(
        self, key: list[Value], item_id: str, patch: Patch, if_match: str | None = None
    ) -> Written:
        """Apply a patch if its condition holds."""
        old = self.read(key, item_id)
        check_etag(old, if_match)
        document = patch.apply(old.document(), self._definition.key.paths, self._clock.now())
        self._check(key, document)
        return self._write(key, item_id, document, old)

    def _live(self, key: list[Value], item_id: str) -> Item | None:
        item = self._storage.find(self._definition.number, canonical(key), item_id)
        return None if item is None or item.is_expired(self._clock.now()) else item

    def _check(self, key: list[Value], document: Document) -> str:
        item_id = check_id(document)
        if not equal(self._definition.key.of(document), key):
            raise key_mismatch()
        _check_depth(document)
        self._check_ttl(document)
        for policy in self._definition.vectors:
            policy.check(document)
        return item_id

    def _check_ttl(self, document: Document) -> None:
        ttl = document.get("ttl", -1)
        if not is_number(ttl) or ttl != int(ttl) or not (ttl == -1 or 0 < ttl <= 2**31 - 1):
            raise bad_request(
                "The input ttl is invalid. Ensure to provide a nonzero positive integer or -1."
            )

    def _write(
        self, key: list[Value], item_id: str, document: Document, old: Item | None
    ) -> Written:
        now = self._clock.now()
        partition = canonical(key)
        self._check_unique(partition, item_id, document, now)
        change = self._storage.next_number(f"change:{self._definition.number}")
        row = self._storage.next_number("row") if old is None else old.row
        rid = document_rid(self._definition.rid, row)
        stamped = {name: value for name, value in document.items() if name not in SYSTEM}
        etag = new_etag()
        link = f"{self._definition.properties['_self']}docs/{rid}/"
        stamped |= {
            "_rid": rid,
            "_self": link,
            "_etag": etag,
            "_attachments": "attachments/",
            "_ts": int(now),
        }
        body, vectors = split_vectors(stamped, self._definition.packed_vectors)
        item = Item(
            row, partition, item_id, change, self._expiry(document, now), etag, body, vectors
        )
        if len(item.text().encode()) > MAX_ITEM_BYTES:
            raise too_large()
        if old is not None:
            self._storage.update(self._definition.number, item, old)
            return Written(200, item)
        self._make_room(key, item_id)
        self._storage.insert(self._definition.number, self._definition.key.hash(key), item)
        return Written(201, item)

    def _make_room(self, key: list[Value], item_id: str) -> None:
        """Remove an expired item that has the id, or answer 409 for one that is alive."""
        if self._live(key, item_id) is not None:
            raise conflict()
        dead = self._storage.find(self._definition.number, canonical(key), item_id)
        if dead is not None:
            self._storage.delete(self._definition.number, dead)

    def _expiry(self, document: Document, now: float) -> float | None:
        if self._definition.default_ttl is None:
            return None
        ttl = document.get("ttl", self._definition.default_ttl)
        return int(now) + ttl if is_number(ttl) and ttl > 0 else None

    def _check_unique(self, partition: str, item_id: str, document: Document, now: float) -> None:
        for paths in self._definition.unique_keys:
            wanted = [dig(document, path) for path in paths]
            for other in self._storage.scan(Area(self._definition.number, partition), now):
                found = [dig(other.document(), path) for path in paths]
                if other.id != item_id and all(map(_same, found, wanted)):
                    raise conflict("Unique index constraint violation.")


def check_id(body: Document) -> str:
    """Return the id, or refuse one the service does not take."""
    item_id = body.get("id")
    if not isinstance(item_id, str) or not item_id:
        raise bad_request(
            "The input content is invalid because the required properties - 'id; ' - are missing"
        )
    if set(item_id) & set("/\\?#") or len(item_id.encode()) > MAX_ID_BYTES or item_id.endswith(" "):
        raise bad_request(
            "The id contains illegal characters (/ \\ ? #), ends with a space, or is over 1023 "
            "bytes."
        )
    return item_id


def check_etag(item: Item, if_match: str | None) -> None:
    """Answer 412 unless the ETag is the item's own or `*`."""
    if if_match is not None and if_match not in ("*", item.etag):
        raise precondition_failed()


def new_etag() -> str:
    """Return an ETag that was never used before."""
    return f'"{uuid.uuid4()}"'


def _same(left: Value, right: Value) -> bool:
    return (isinstance(left, Undefined) and isinstance(right, Undefined)) or equal(left, right)


def _check_depth(document: Document) -> None:
    level: list[Value] = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for value in level
            for child in (
                value.values()
                if isinstance(value, dict)
                else value
                if isinstance(value, list)
                else ()
            )
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise bad_request("The document is nested more than 128 levels deep.")
