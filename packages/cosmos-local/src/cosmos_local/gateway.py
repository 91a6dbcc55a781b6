"""One request in, one answer out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from cosmos_local import documents, feeds
from cosmos_local.areas import area_of, ranges_of
from cosmos_local.authority import Authority
from cosmos_local.catalogue import Catalogue
from cosmos_local.clock import Clock
from cosmos_local.containers import Definition
from cosmos_local.errors import Refusal, bad_request
from cosmos_local.headers import check_headers
from cosmos_local.items import Items
from cosmos_local.links import by_name
from cosmos_local.resources import Resources
from cosmos_local.search_indexes import SearchIndexes
from cosmos_local.storage import Storage
from cosmos_local.wire import WireRequest, WireResponse

RID_MISMATCH = 1024


@dataclass(frozen=True, slots=True)
class Quirk:
    """What a fault changes about an answer that is otherwise right."""

    cut: int | None = None
    stale: bool = False


NO_QUIRK = Quirk()


class Gateway:
    """Authorizes requests, routes them, and adds headers to the answers."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        catalogue: Catalogue,
        consistency: str,
        *,
        allow_create: bool,
    ) -> None:
        """Serve one storage."""
        self.authority = Authority()
        self._storage = storage
        self._indexes = SearchIndexes(storage)
        self._clock = clock
        self._catalogue = catalogue
        self._consistency = consistency
        self._strong = consistency in ("Strong", "BoundedStaleness")
        self._resources = Resources(
            catalogue, storage, clock, consistency, allow_create=allow_create
        )

    def close(self) -> None:
        """Release the search indexes."""
        self._indexes.close()

    def respond(self, request: WireRequest, quirk: Quirk = NO_QUIRK) -> WireResponse:
        """Answer a request; whatever is refused leaves the storage as it was.

        Queries and feeds may take long: they hold the storage only while they read, so that
        other threads are served in between.
        """
        try:
            _refuse_direct_mode(request)
            self.authority.check(request)
            check_headers(request, self._consistency)
            with self._storage.lock:
                request = by_name(request, self._catalogue, self._storage)
            if request.kind in feeds.KINDS:
                answer = self._answer_feed(request, quirk)
            else:
                with self._storage.lock:
                    answer = self._dispatch(request, quirk)
        except Refusal as refusal:
            answer = refuse(refusal)
        except RecursionError:
            answer = refuse(bad_request("The request is nested too deeply."))
        with self._storage.lock:
            return self._stamp(request, answer)

    def _dispatch(self, request: WireRequest, quirk: Quirk) -> WireResponse:
        match request.segments:
            case ["dbs", database, "colls", name, "docs", *rest] if len(rest) <= 1:
                if request.kind not in documents.KINDS:
                    raise Refusal(405, f"{request.method} is not allowed on documents.")
                definition = self._definition(request, database, name)
                return self._documents(definition, quirk).respond(request)
            case ["dbs", database, "colls", name, "operations", "partitionkeydelete"]:
                definition = self._definition(request, database, name)
                return self._documents(definition, NO_QUIRK).delete_partition(request)
            case _:
                return self._resources.respond(request)

    def _answer_feed(self, request: WireRequest, quirk: Quirk) -> WireResponse:
        with self._storage.lock:
            database, name = request.segments[1], request.segments[3]
            definition = self._definition(request, database, name)
        found = feeds.Feeds(
            definition, self._storage, self._indexes, self._clock, strong=self._strong
        )
        return found.respond(request, quirk.cut)

    def _documents(self, definition: Definition, quirk: Quirk) -> documents.Documents:
        items = Items(definition, self._storage, self._clock)
        return documents.Documents(
            definition, self._storage, items, strong=self._strong, stale=quirk.stale
        )

    def _definition(self, request: WireRequest, database: str, name: str) -> Definition:
        """Find the container; a client that means an older one of the same name is refused."""
        definition = self._catalogue.container(database, name)
        intended = request.headers.get("x-ms-cosmos-intended-collection-rid")
        if intended is not None and intended != definition.rid:
            raise bad_request(
                "The collection's resource id is not the one that was intended.", RID_MISMATCH
            )
        return definition

    def _stamp(self, request: WireRequest, answer: WireResponse) -> WireResponse:
        headers = {
            "content-type": "application/json",
            "content-location": f"{request.base}{request.path}",
            "x-ms-activity-id": request.headers.get("x-ms-activity-id") or str(uuid.uuid4()),
            "x-ms-request-charge": "1.00",
            "x-local-request-charge": "estimate",
            "x-ms-version": "2020-07-15",
            "x-ms-gatewayversion": "version=local",
            "x-ms-serviceversion": "version=local",
            **answer.headers,
        }
        if len(request.segments) >= 4:  # noqa: PLR2004 - a container's own path
            headers |= self._session_headers(request)
        return WireResponse(answer.status, answer.body, headers)

    def _session_headers(self, request: WireRequest) -> dict[str, str]:
        """Say how far the ranges are that the request is about, and whose they are."""
        try:
            definition = self._catalogue.container(request.segments[1], request.segments[3])
            ranges = ranges_of(area_of(request, definition), definition)
        except Refusal:
            return {}
        if not ranges:
            return {}
        change = self._storage.last_commit(definition.number)
        return {
            "x-ms-session-token": ",".join(f"{number}:-1#{change}" for number in ranges),
            "lsn": str(change),
            "x-ms-cosmos-llsn": str(change),
            "x-ms-global-committed-lsn": str(change),
            "x-ms-documentdb-partitionkeyrangeid": str(ranges[0]),
            "x-ms-alt-content-path": "/".join(request.segments[:4]),
        }


def _refuse_direct_mode(request: WireRequest) -> None:
    if request.segments[:1] == ["addresses"]:  # what clients in direct mode ask first
        raise Refusal(403, "Direct mode is not supported here; use gateway mode.")


def refuse(refusal: Refusal) -> WireResponse:
    """Write a refusal in the service's shape."""
    headers = dict(refusal.headers)
    if refusal.substatus is not None:
        headers["x-ms-substatus"] = str(refusal.substatus)
    return WireResponse(refusal.status, refusal.body(), headers)
