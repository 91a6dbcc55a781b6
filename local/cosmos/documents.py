"""The routes under `/docs`: items, batches, queries."""

from __future__ import annotations

from dataclasses import dataclass

from local.cosmos import batch, charges
from local.cosmos.clock import Clock
from local.cosmos.containers import Definition, key_mismatch, parse_key
from local.cosmos.errors import bad_request
from local.cosmos.feed import read_changes
from local.cosmos.items import Items, Written
from local.cosmos.paging import DEFAULT_PAGE, page_size
from local.cosmos.patch import parse_patch
from local.cosmos.queries import Answer, Question, answer
from local.cosmos.queryplan import plan
from local.cosmos.ranges import RANGES, range_of
from local.cosmos.rules import check_parameter_count
from local.cosmos.search import SearchIndexes
from local.cosmos.storage import Area, Item, Storage
from local.cosmos.values import Value, canonical, dump, load_object
from local.cosmos.wire import WireRequest, WireResponse

KEY_HEADER = "x-ms-documentdb-partitionkey"
RANGE_HEADER = "x-ms-documentdb-partitionkeyrangeid"


@dataclass(frozen=True)
class Documents:
    """Answers requests about one container's documents."""

    definition: Definition
    storage: Storage
    indexes: SearchIndexes
    clock: Clock
    strong: bool
    cut: int | None = None
    stale: bool = False

    def respond(self, request: WireRequest) -> WireResponse:
        """Answer a request whose path ends in /docs or /docs/{id}."""
        kind = request.kind
        if kind in ("query", "feed"):
            return self._query(request)
        if kind == "query_plan":
            text, parameters = _query_body(request)
            return WireResponse(200, dump(plan(text, parameters, self.definition, self.clock.now())).encode())
        if kind == "change_feed":
            return self._changes(request)
        if kind == "batch":
            return self._batch(request)
        if kind not in ("create", "upsert", "read", "replace", "patch", "delete"):
            raise bad_request(f"The request {request.method} of a document feed is not supported ({kind}).")
        items = Items(self.definition, self.storage, self.clock)
        if kind == "read":
            return self._read(request, items)
        _check_conditions(request, kind)
        with self.storage.transaction():
            if kind == "delete":
                item = items.delete(self._key(request), request.segments[5], request.headers.get("if-match"))
                return WireResponse(204, headers=_charge(charges.write(len(item.body), replaces=False)))
            return _answer_write(self._write(request, items), minimal=request.headers.get("prefer") == "return=minimal")

    def _write(self, request: WireRequest, items: Items) -> Written:
        key, if_match, body = self._key(request), request.headers.get("if-match"), load_object(request.body)
        if request.kind == "create":
            return items.create(key, body)
        if request.kind == "upsert":
            return items.upsert(key, body, if_match)
        if request.kind == "replace":
            return items.replace(key, request.segments[5], body, if_match)
        return items.patch(key, request.segments[5], parse_patch(body), if_match)

    def _read(self, request: WireRequest, items: Items) -> WireResponse:
        item = items.read(self._key(request), request.segments[5], stale=self.stale)
        charge = _charge(charges.read(len(item.body), strong=self.strong)) | {"etag": item.etag}
        if request.headers.get("if-none-match") in (item.etag, "*"):
            return WireResponse(304, headers=charge)
        return WireResponse(200, item.text().encode(), charge)

    def _batch(self, request: WireRequest) -> WireResponse:
        if not request.flag("x-ms-cosmos-batch-atomic") or request.flag("x-ms-cosmos-batch-continue-on-error"):
            raise bad_request("Only atomic batches are supported.")
        operations = batch.parse_batch(request.body)
        items = Items(self.definition, self.storage, self.clock)
        outcome = batch.run(operations, self._key(request), items, self.storage)
        charge = sum(float(str(result["requestCharge"])) for result in outcome.results)
        return WireResponse(outcome.status, dump(outcome.results).encode(), _charge(charge))

    def _query(self, request: WireRequest) -> WireResponse:
        found = answer(self._question(request), self.definition, self.storage, self.indexes, self.clock.now())
        body = self._list(found.documents)
        return WireResponse(200, body, self._query_headers(request, found, len(body)))

    def _query_headers(self, request: WireRequest, found: Answer, size: int) -> dict[str, str]:
        headers = _charge(charges.query(found.rows_read, size, strong=self.strong))
        headers["x-ms-item-count"] = str(len(found.documents))
        if found.continuation is not None:
            headers["x-ms-continuation"] = found.continuation
        if request.flag("x-ms-documentdb-populatequerymetrics"):
            counts = f"retrievedDocumentCount={found.rows_read};outputDocumentCount={len(found.documents)}"
            headers["x-ms-documentdb-query-metrics"] = counts
        return headers

    def _changes(self, request: WireRequest) -> WireResponse:
        size = page_size(request.number("x-ms-max-item-count", DEFAULT_PAGE))
        found = read_changes(request, self._area(request), size, self.storage, self.clock.now())
        body = self._list(found.documents)
        headers = _charge(charges.query(len(found.documents), len(body), strong=self.strong)) | {"etag": found.etag}
        if not found.documents:
            return WireResponse(304, headers=headers)
        return WireResponse(200, body, headers | {"x-ms-item-count": str(len(found.documents))})

    def _list(self, documents: list[str]) -> bytes:
        listed = ",".join(documents)
        return f'{{"_rid":"{self.definition.rid}","Documents":[{listed}],"_count":{len(documents)}}}'.encode()

    def delete_partition(self, request: WireRequest) -> WireResponse:
        """Delete every item of a partition."""
        if request.method != "POST":
            raise bad_request("A partition is deleted by POST.")
        area = Area(self.definition.number, canonical(self._key(request)))
        with self.storage.transaction():
            self.storage.delete_area(area)
            self.storage.next_number(f"change:{self.definition.number}")
        return WireResponse(200, headers=_charge(charges.WRITE))

    def _question(self, request: WireRequest) -> Question:
        text, parameters = "SELECT * FROM c", dict[str, Value]()
        if request.kind == "query":
            text, parameters = _query_body(request)
        area = self._area(request)
        everywhere = area.partition is None and RANGE_HEADER not in request.headers and request.kind == "query"
        if everywhere and not request.flag("x-ms-documentdb-query-enablecrosspartition"):
            if "x-ms-start-epk" not in request.headers:
                raise bad_request(
                    "Cross partition query is required but disabled; supply x-ms-documentdb-partitionkey."
                )
            everywhere = False
        size = page_size(request.number("x-ms-max-item-count", DEFAULT_PAGE))
        continuation = request.headers.get("x-ms-continuation")
        return Question(text, parameters, area, size, continuation, self.cut, everywhere)

    def _area(self, request: WireRequest) -> Area:
        number = self.definition.number
        if KEY_HEADER in request.headers:
            return Area(number, canonical(self._key(request)))
        if "x-ms-start-epk" in request.headers:
            return Area(number, None, request.headers["x-ms-start-epk"], request.headers.get("x-ms-end-epk", "FF"))
        if RANGE_HEADER in request.headers:
            return Area(number, None, *range_of(request.headers[RANGE_HEADER]))
        return Area(number, None, RANGES[0][0], RANGES[-1][1])

    def _key(self, request: WireRequest) -> list[Value]:
        header = request.headers.get(KEY_HEADER)
        if header is None:
            raise bad_request("PartitionKey value must be supplied for this operation.")
        key = parse_key(self.definition, header)
        if len(key) != len(self.definition.key_paths):
            raise key_mismatch()
        return key


def _check_conditions(request: WireRequest, kind: str) -> None:
    if "if-none-match" in request.headers and not (kind == "create" and request.headers["if-none-match"] == "*"):
        raise bad_request("If-None-Match is only supported on reads.")
    if "if-match" in request.headers and kind == "create":
        raise bad_request("If-Match is not supported on creates.")


def _answer_write(written: Written, *, minimal: bool) -> WireResponse:
    item: Item = written.item
    charge = charges.write(len(item.body), replaces=written.status == 200)  # noqa: PLR2004 - 200 replaces, 201 creates
    body = b"" if minimal else item.text().encode()
    return WireResponse(written.status, body, _charge(charge) | {"etag": item.etag})


def _query_body(request: WireRequest) -> tuple[str, dict[str, Value]]:
    wanted = "application/json" if request.kind == "query_plan" else "application/query+json"
    if not request.headers.get("content-type", "").startswith(wanted):
        raise bad_request("A query needs the content type application/query+json.")
    body = load_object(request.body)
    text = body.get("query")
    if not isinstance(text, str) or body.keys() - {"query", "parameters"}:
        raise bad_request("A query body needs 'query', may have 'parameters', and nothing else.")
    return text, check_parameter_count(body.get("parameters"))


def _charge(charge: float) -> dict[str, str]:
    return {"x-ms-request-charge": f"{charge:.2f}"}
