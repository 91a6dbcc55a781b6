"""The routes that read or write single items, and batches of them."""

from __future__ import annotations

from cosmos_local import batch, charges
from cosmos_local.areas import key_of
from cosmos_local.containers import Definition
from cosmos_local.errors import bad_request, too_large
from cosmos_local.items import MAX_ITEM_BYTES, Items, Written
from cosmos_local.patch import parse_patch
from cosmos_local.storage import Area, Item, Storage
from cosmos_local.values import canonical, dump, load, load_object
from cosmos_local.wire import WireRequest, WireResponse

KINDS = frozenset({"create", "upsert", "read", "replace", "patch", "delete", "batch"})


class Documents:
    """Answers requests about one container's items."""

    def __init__(
        self, definition: Definition, storage: Storage, items: Items, *, strong: bool, stale: bool
    ) -> None:
        """Serve one container for one request; `stale` is what a fault may ask for."""
        self._definition = definition
        self._storage = storage
        self._items = items
        self._strong = strong
        self._stale = stale

    def respond(self, request: WireRequest) -> WireResponse:
        """Answer a request of one of the KINDS."""
        if request.kind == "read":
            return self._read(request)
        _check_conditions(request)
        if request.kind == "batch":
            return self._batch(request)
        with self._storage.commit(self._definition.number):
            if request.kind == "delete":
                return self._delete(request)
            return _answer_write(
                self._write(request), minimal=request.headers.get("prefer") == "return=minimal"
            )

    def delete_partition(self, request: WireRequest) -> WireResponse:
        """Delete every item of a partition."""
        if request.method != "POST":
            raise bad_request("A partition is deleted by POST.")
        area = Area(self._definition.number, canonical(key_of(request, self._definition)))
        with self._storage.commit(self._definition.number):
            self._storage.delete_area(area)
        return WireResponse(200, headers=charges.header(charges.WRITE))

    def _read(self, request: WireRequest) -> WireResponse:
        item = self._items.read(
            key_of(request, self._definition), request.segments[5], stale=self._stale
        )
        headers = charges.header(charges.read(len(item.body), strong=self._strong)) | {
            "etag": item.etag
        }
        if request.headers.get("if-none-match") in (item.etag, "*"):
            return WireResponse(304, headers=headers)
        return WireResponse(200, item.text().encode(), headers)

    def _write(self, request: WireRequest) -> Written:
        key, if_match = key_of(request, self._definition), request.headers.get("if-match")
        if request.kind == "patch":
            patch = parse_patch(load(request.body))
            return self._items.patch(key, request.segments[5], patch, if_match)
        if len(request.body) > MAX_ITEM_BYTES:
            raise too_large()
        body = load_object(request.body)
        if request.kind == "create":
            return self._items.create(key, body)
        if request.kind == "upsert":
            return self._items.upsert(key, body, if_match)
        return self._items.replace(key, request.segments[5], body, if_match)

    def _delete(self, request: WireRequest) -> WireResponse:
        key, if_match = key_of(request, self._definition), request.headers.get("if-match")
        item = self._items.delete(key, request.segments[5], if_match)
        return WireResponse(
            204, headers=charges.header(charges.write(len(item.body), replaces=False))
        )

    def _batch(self, request: WireRequest) -> WireResponse:
        if not request.flag("x-ms-cosmos-batch-atomic") or request.flag(
            "x-ms-cosmos-batch-continue-on-error"
        ):
            raise bad_request("Only atomic batches are supported.")
        operations = batch.parse_batch(request.body)
        outcome = batch.run(
            operations, key_of(request, self._definition), self._items, self._storage
        )
        charge = sum(float(str(result["requestCharge"])) for result in outcome.results)
        return WireResponse(outcome.status, dump(outcome.results).encode(), charges.header(charge))


def _check_conditions(request: WireRequest) -> None:
    """Refuse conditions the service would ignore, so that no program relies on them."""
    if "if-none-match" in request.headers and (request.kind, request.headers["if-none-match"]) != (
        "create",
        "*",
    ):
        raise bad_request("If-None-Match is only supported on reads.")
    if "if-match" in request.headers and request.kind in ("create", "batch"):
        raise bad_request(f"If-Match is not supported on a {request.kind}.")


def _answer_write(written: Written, *, minimal: bool) -> WireResponse:
    item: Item = written.item
    charge = charges.write(len(item.body), replaces=written.is_replacement)
    body = b"" if minimal else item.text().encode()
    return WireResponse(written.status, body, charges.header(charge) | {"etag": item.etag})
