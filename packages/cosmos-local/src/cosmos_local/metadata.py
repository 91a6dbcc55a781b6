"""Queries and feeds over databases, containers and offers."""

from __future__ import annotations

from collections.abc import Mapping

from cosmos_local.checker import check
from cosmos_local.errors import Refusal
from cosmos_local.evaluator import Compiler
from cosmos_local.parser import parse_query
from cosmos_local.rules import read_parameters
from cosmos_local.select import Select, root_scope
from cosmos_local.shapes import check_members
from cosmos_local.values import Document, Value, dump, load_object
from cosmos_local.wire import WireRequest, WireResponse


def is_list(request: WireRequest) -> bool:
    """Tell whether a request on a feed reads it."""
    return request.method == "GET" or request.is_query


def feed(name: str, resources: list[Document], request: WireRequest, now: float) -> WireResponse:
    """Answer a read of a feed, or a query over it, page by page."""
    found: list[Value] = list(resources)
    if request.method == "POST":
        found = _queried(resources, request, now)
    size = request.number("x-ms-max-item-count", -1)
    start = _start(request.headers.get("x-ms-continuation"))
    page = found[start:] if size < 1 else found[start : start + size]
    headers = {"x-ms-item-count": str(len(page))}
    if start + len(page) < len(found):
        headers["x-ms-continuation"] = str(start + len(page))
    body: Document = {"_rid": "", name: page, "_count": len(page)}
    return WireResponse(200, dump(body).encode(), headers)


def _queried(resources: list[Document], request: WireRequest, now: float) -> list[Value]:
    body = load_object(request.body)
    check_members(body, "query body", {"query", "parameters"})
    parameters: Mapping[str, Value] = read_parameters(body.get("parameters"))
    query = parse_query(str(body.get("query")))
    check(query, parameters)
    select = Select(query, Compiler(parameters, now))
    scopes = [root_scope(resource, row) for row, resource in enumerate(resources)]
    return list(select.window(select.results(scopes)))


def _start(token: str | None) -> int:
    if not token:
        return 0
    if not token.isdigit():
        raise Refusal(400, "Invalid Continuation Token")
    return int(token)
