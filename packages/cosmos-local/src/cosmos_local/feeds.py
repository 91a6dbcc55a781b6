"""The routes that read many items: queries, their plans, feeds."""

from __future__ import annotations

from cosmos_local import charges
from cosmos_local.areas import area_of, is_component, is_everywhere
from cosmos_local.changes import read_changes
from cosmos_local.clock import Clock
from cosmos_local.containers import Definition
from cosmos_local.errors import CROSS_PARTITION_NOT_SERVABLE, Refusal, bad_request
from cosmos_local.paging import DEFAULT_PAGE, page_size
from cosmos_local.queries import Answer, Question, answer
from cosmos_local.queryplan import plan
from cosmos_local.rules import read_parameters
from cosmos_local.search_indexes import SearchIndexes
from cosmos_local.storage import Storage
from cosmos_local.values import Document, Value, dump, load_object
from cosmos_local.wire import WireRequest, WireResponse

KINDS = frozenset({"query", "query_plan", "feed", "change_feed"})
GROUPS = "GroupBy"
# the last two are the .NET SDK's, and change nothing for a gateway that plans queries itself
BODY_MEMBERS = frozenset({"query", "parameters", "clientQLCompatibilityLevel", "passThrough"})
MEDIA_TYPES = ("application/query+json", "application/json")
_ALL = "SELECT * FROM c"


class Feeds:
    """Answers requests for many of one container's items."""

    def __init__(
        self,
        definition: Definition,
        storage: Storage,
        indexes: SearchIndexes,
        clock: Clock,
        *,
        strong: bool,
    ) -> None:
        """Serve one container for one request."""
        self._definition = definition
        self._storage = storage
        self._indexes = indexes
        self._clock = clock
        self._strong = strong

    def respond(self, request: WireRequest, cut: int | None) -> WireResponse:
        """Answer a request of one of the KINDS; `cut` shortens a query's page."""
        if request.kind == "query_plan":
            return WireResponse(200, dump(self._plan(request)).encode())
        if request.kind == "change_feed":
            return self._changes(request)
        try:
            found = answer(
                self._question(request, cut),
                self._definition,
                self._storage,
                self._indexes,
                self._clock.now(),
            )
        except Refusal as refusal:
            if refusal.substatus == CROSS_PARTITION_NOT_SERVABLE:
                refusal.details = dump(self._plan(request, GROUPS))
            raise
        body = self._list(found.documents)
        return WireResponse(200, body, self._query_headers(request, found, len(body)))

    def _plan(self, request: WireRequest, features: str = "") -> Document:
        text, parameters = _query_body(request)
        offered = features or request.headers.get("x-ms-cosmos-supported-query-features", "")
        return plan(text, parameters, self._definition, self._clock.now(), offered)

    def _changes(self, request: WireRequest) -> WireResponse:
        size = page_size(request.number("x-ms-max-item-count", DEFAULT_PAGE))
        area = area_of(request, self._definition)
        found = read_changes(request, area, size, self._storage, self._clock.now())
        body = self._list(found.documents)
        charge = charges.query(len(found.documents), len(body), strong=self._strong)
        headers = charges.header(charge) | {
            "etag": found.etag,
            "x-ms-item-count": str(len(found.documents)),
        }
        return (
            WireResponse(200, body, headers)
            if found.documents
            else WireResponse(304, headers=headers)
        )

    def _question(self, request: WireRequest, cut: int | None) -> Question:
        text, parameters = _ALL, dict[str, Value]()
        everywhere = request.kind == "query" and is_everywhere(request)
        may_cross = request.flag("x-ms-documentdb-query-enablecrosspartition")
        if request.kind == "query":
            text, parameters = _query_body(request)
        return Question(
            text=text,
            parameters=parameters,
            area=area_of(request, self._definition),
            size=page_size(request.number("x-ms-max-item-count", DEFAULT_PAGE)),
            continuation=request.headers.get("x-ms-continuation"),
            cut=cut,
            everywhere=everywhere,
            may_cross=may_cross,
            is_component=is_component(request),
        )

    def _query_headers(self, request: WireRequest, found: Answer, size: int) -> dict[str, str]:
        headers = charges.header(charges.query(found.rows_read, size, strong=self._strong))
        headers["x-ms-item-count"] = str(len(found.documents))
        if found.continuation is not None:
            headers["x-ms-continuation"] = found.continuation
        if request.flag("x-ms-documentdb-populatequerymetrics"):
            headers["x-ms-documentdb-query-metrics"] = (
                f"retrievedDocumentCount={found.rows_read};"
                f"outputDocumentCount={len(found.documents)}"
            )
        return headers

    def _list(self, documents: list[str]) -> bytes:
        listed = ",".join(documents)
        counted = f'"Documents":[{listed}],"_count":{len(documents)}'
        return f'{{"_rid":"{self._definition.rid}",{counted}}}'.encode()


def _query_body(request: WireRequest) -> tuple[str, dict[str, Value]]:
    if not request.headers.get("content-type", "").startswith(MEDIA_TYPES):
        raise bad_request(f"A query needs the content type {MEDIA_TYPES[0]}.")
    body = load_object(request.body)
    text = body.get("query")
    if not isinstance(text, str) or body.keys() - BODY_MEMBERS:
        raise bad_request("A query body needs 'query', may have 'parameters', and nothing else.")
    return text, read_parameters(body.get("parameters"))
