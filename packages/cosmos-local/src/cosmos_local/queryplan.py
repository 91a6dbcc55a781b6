"""The query plan: what a client must ask every range, and how it combines the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cosmos_local import rules, syntax
from cosmos_local.checker import check
from cosmos_local.conjuncts import key_in
from cosmos_local.containers import Definition
from cosmos_local.distances import function_of
from cosmos_local.errors import bad_request
from cosmos_local.evaluator import Compiler
from cosmos_local.groups import AGGREGATES, EXTREMES, group_info, rewrite_groups, wrap_aggregate
from cosmos_local.parser import parse_query
from cosmos_local.render import render, render_from, render_query
from cosmos_local.search import rrf_parts
from cosmos_local.select import amount
from cosmos_local.syntax import (
    NOWHERE,
    Binary,
    Call,
    Column,
    Expression,
    Literal,
    ObjectOf,
    Query,
    bind_keys,
)
from cosmos_local.values import UNDEFINED, Document, Value

_NO_SCORE = Literal(-999999)  # what the SDKs take for a component without a score


def plan(
    text: str,
    parameters: Mapping[str, Value],
    definition: Definition,
    now: float,
    features: str = "",
) -> Document:
    """Return the plan of a query that a gateway does not answer across partitions.

    `features` is what the client says it can put together. A query whose filter fixes the
    partition key is for the range of that key alone.
    """
    query = bind_keys(parse_query(text), parameters)
    check(query, parameters)
    rules.check_limits(query)
    rules.check_indexes(query, definition)
    if query.group_by and "groupby" not in features.lower():
        raise bad_request(
            "Query contains 1 or more unsupported features. It needs a client that does: GroupBy"
        )
    info: Document = {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryRanges": [_range_of(query, parameters, definition)],
    }
    if query.rank is not None:
        return info | {
            "queryInfo": None,
            "hybridSearchQueryInfo": _hybrid(query, Compiler(parameters, now), definition),
        }
    return info | {"queryInfo": _query_info(query, Compiler(parameters, now), definition, features)}


def _range_of(query: Query, parameters: Mapping[str, Value], definition: Definition) -> Document:
    key = key_in(query, parameters, definition.key.paths)
    if key is None:
        return {"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}
    place = definition.key.hash(key)
    return {"min": place, "max": place, "isMinInclusive": True, "isMaxInclusive": True}


def _query_info(
    query: Query, compiler: Compiler, definition: Definition, features: str
) -> Document:
    top, offset, limit = (
        amount(compiler, part, "TOP") for part in (query.top, query.offset, query.limit)
    )
    aggregates = [call for column in query.columns for call in syntax.aggregates_in(column)]
    if aggregates:
        query = replace(query, order_by=())  # one result needs no order
    rewritten = replace(query, top=_take(top, offset, limit), offset=None, limit=None)
    vector = rules.is_vector_order(query)
    named = bool(aggregates) and not query.value and "nonvalueaggregate" in features.lower()
    grouped = bool(query.group_by) or named
    if grouped:
        rewritten = rewrite_groups(rewritten)
    elif aggregates:
        rewritten = _rewrite_aggregate(rewritten, aggregates)
    elif query.order_by:
        rewritten = _rewrite_order(rewritten, [key.expression for key in query.order_by])
    return {
        "distinctType": _distinct_type(query),
        "top": top, "offset": offset, "limit": limit,
        "orderBy": [_direction(
            key.descending or (vector and _is_similarity(key.expression, definition, compiler))
        ) for key in query.order_by],
        "orderByExpressions": [render(key.expression) for key in query.order_by],
        **group_info(query, grouped=grouped),
        "aggregates": [] if grouped else [AGGREGATES[call.name] for call in aggregates],
        "rewrittenQuery": render_query(rewritten) if rewritten != query else "",
        "hasSelectValue": query.value,
        "hasNonStreamingOrderBy": vector,
    }  # fmt: skip


def _distinct_type(query: Query) -> str:
    if not query.distinct:
        return "None"
    return "Ordered" if query.order_by else "Unordered"


def _direction(descending: bool) -> str:  # noqa: FBT001 - private, one meaning
    return "Descending" if descending else "Ascending"


def _take(top: int | None, offset: int | None, limit: int | None) -> Expression | None:
    if limit is not None:
        return Literal((offset or 0) + limit)
    return None if top is None else Literal(top)


def _rewrite_aggregate(query: Query, aggregates: list[Call]) -> Query:
    expression = query.columns[0].expression
    if len(aggregates) > 1 or (query.value and expression is not aggregates[0]):
        raise bad_request(
            "Cross partition query only supports 'VALUE <AggregateFunc>' for aggregates."
        )
    call = aggregates[0]
    wrapped: Expression = syntax.ArrayOf((wrap_aggregate(call),))
    if call.name in EXTREMES:  # a range without values must not take part in the comparison
        some = Binary(">", replace(call, name="COUNT"), Literal(0))
        wrapped = syntax.Conditional(some, wrapped, Literal(UNDEFINED))
    return replace(query, columns=(Column(wrapped, None),), value=True, top=None)


def _rewrite_order(query: Query, keys: list[Expression]) -> Query:
    payload = _payload(query)
    items = syntax.ArrayOf(tuple(ObjectOf((("item", key),)) for key in keys))
    where = query.where
    if query.value:
        defined = Call("IS_DEFINED", (payload,), NOWHERE)
        where = defined if where is None else Binary("AND", where, defined)
    columns = (
        Column(_rid(query), "_rid"),
        Column(items, "orderByItems"),
        Column(payload, "payload"),
    )
    return replace(query, columns=columns, value=False, distinct=False, where=where)


def _payload(query: Query) -> Expression:
    if not query.columns:
        return syntax.Name(query.sources[0].alias, NOWHERE)
    if query.value:
        return query.columns[0].expression
    members, unnamed = [], 0
    for column in query.columns:
        name = syntax.column_name(column)
        if name is None:
            unnamed += 1
            name = f"${unnamed}"
        members.append((name, column.expression))
    return ObjectOf(tuple(members))


def _rid(query: Query) -> Expression:
    return syntax.Member(syntax.Name(query.sources[0].alias, NOWHERE), Literal("_rid"))


def _is_similarity(call: Expression, definition: Definition, compiler: Compiler) -> bool:
    """Tell whether more is closer, as for every function but the euclidean distance."""
    if not isinstance(call, Call) or call.name != "VECTORDISTANCE":
        return True
    path = (syntax.path_of(call.arguments[0]) or ())[1:]
    return function_of(call, definition, path, compiler) != "euclidean"


def _hybrid(query: Query, compiler: Compiler, definition: Definition) -> Document:
    components, weights = _components(query.rank, compiler)
    top, offset, limit = (
        amount(compiler, part, "TOP") for part in (query.top, query.offset, query.limit)
    )
    skip, take = offset or 0, limit if limit is not None else top
    texts = [component for component in components if component.name == "FULLTEXTSCORE"]
    scores = [_score(component, texts) for component in components]
    size = skip + (take or 0)
    similar = [_is_similarity(component, definition, compiler) for component in components]
    return {
        "globalStatisticsQuery": _statistics(query, texts),
        "componentQueryInfos": [
            _component(
                query, components, scores, number, size,
                _direction(similar[number] == (weights[number] >= 0)),
            )
            for number in range(len(components))
        ],
        "componentWithoutPayloadQueryInfos": [],
        "projectionQueryInfo": None,
        "componentWeights": [abs(weight) for weight in weights],
        "skip": skip, "take": take,
        "requiresGlobalStatistics": bool(texts),
    }  # fmt: skip


def _components(rank: Expression | None, compiler: Compiler) -> tuple[list[Call], list[float]]:
    if not isinstance(rank, Call):
        raise bad_request("ORDER BY RANK needs FullTextScore or RRF.")
    return rrf_parts(rank, compiler) if rank.name == "RRF" else ([rank], [1.0])


def _score(component: Call, texts: list[Call]) -> str:
    """Write a component's score, with places for the statistics the client gathers."""
    if component.name != "FULLTEXTSCORE":
        return render(component)
    number = next(place for place, call in enumerate(texts) if call is component)
    prefix = "{documentdb-formattablehybridsearchquery-"
    places = ("totaldocumentcount", f"totalwordcount-{number}", f"hitcountsarray-{number}")
    statistics = ", ".join(f"{prefix}{place}}}" for place in places)
    terms = ", ".join(map(render, component.arguments[1:]))
    return f"_FULLTEXTSCORE({render(component.arguments[0])}, [{terms}], {statistics})"


def _component(
    query: Query, components: list[Call], scores: list[str], number: int, size: int, direction: str
) -> Document:
    listed = ", ".join(f"({score} ?? {render(_NO_SCORE)})" for score in scores)
    payload = f'{{"payload": {render(_payload(query))}, "componentScores": [{listed}]}}'
    where = "" if query.where is None else f" WHERE {render(query.where)}"
    score = scores[number]
    rank = "RANK " if components[number].name == "FULLTEXTSCORE" else ""
    items = f'[{{"item": {score}}}] AS orderByItems'
    head = f"SELECT TOP {size} {render(_rid(query))} AS _rid, {items}, {payload} AS payload"
    return {
        "distinctType": "None", "top": size, "offset": None, "limit": None,
        "orderBy": [direction], "orderByExpressions": [score], "aggregates": [],
        **group_info(query, grouped=False),
        "rewrittenQuery": f"{head} {render_from(query)}{where} ORDER BY {rank}{score}",
        "hasSelectValue": False, "hasNonStreamingOrderBy": True,
    }  # fmt: skip


def _statistics(query: Query, texts: list[Call]) -> str:
    """Write the query that counts documents, words and hits in one range."""
    parts = []
    for call in texts:
        path = render(call.arguments[0])
        hits = ", ".join(
            f"SUM(FULLTEXTCONTAINS({path}, {render(term)}) ? 1 : 0)" for term in call.arguments[1:]
        )
        parts.append(
            f'{{"totalWordCount": SUM(_FULLTEXTWORDCOUNT({path})), "hitCounts": [{hits}]}}'
        )
    columns = f"COUNT(1) AS documentCount, [{', '.join(parts)}] AS fullTextStatistics"
    return f"SELECT {columns} {render_from(query)}"
