"""GROUP BY and aggregates in a query plan: parts that a client can add up."""

from __future__ import annotations

from dataclasses import replace

from cosmos_local import syntax
from cosmos_local.errors import bad_request
from cosmos_local.render import render
from cosmos_local.syntax import ArrayOf, Call, Column, Expression, ObjectOf, Query
from cosmos_local.values import Document

AGGREGATES = {"COUNT": "Count", "SUM": "Sum", "AVG": "Average", "MIN": "Min", "MAX": "Max"}
EXTREMES = ("MIN", "MAX")


def wrap_aggregate(call: Call) -> Expression:
    """Return what a range computes for an aggregate: an average needs its sum and its count.

    The JavaScript SDK reads `item2` of a minimum or maximum, the others read `item`.
    """
    count = ("count", replace(call, name="COUNT"))
    if call.name == "AVG":
        return ObjectOf((("item", ObjectOf((("sum", replace(call, name="SUM")), count))),))
    if call.name in EXTREMES:
        both = ObjectOf(((call.name.lower(), call), count))
        return ObjectOf((("item", call), ("item2", both)))
    return ObjectOf((("item", call),))


def group_info(query: Query, *, grouped: bool) -> Document:
    """Describe the groups of a query, none for a query that has none."""
    names = _names(query) if grouped and not query.value else []
    return {
        "groupByExpressions": [render(key) for key in query.group_by],
        "groupByAliases": names,
        "groupByAliasToAggregateType": {
            name: AGGREGATES[call.name] if (call := _aggregate(column)) else None
            for name, column in zip(names, query.columns, strict=False)
        },
    }


def rewrite_groups(query: Query) -> Query:
    """Return the query of one range: the keys of each group, and what was selected of it."""
    if query.value:
        raise bad_request("A GROUP BY over several partitions cannot be a SELECT VALUE here.")
    items = ArrayOf(tuple(ObjectOf((("item", key),)) for key in query.group_by))
    members = tuple(
        (name, wrap_aggregate(call) if (call := _aggregate(column)) else column.expression)
        for name, column in zip(_names(query), query.columns, strict=True)
    )
    payload = Column(ObjectOf(members), "payload")
    columns = (Column(items, "groupByItems"), payload) if query.group_by else (payload,)
    return replace(query, columns=columns, top=None)


def _aggregate(column: Column) -> Call | None:
    """Return the aggregate that a column is, if it is one."""
    calls = syntax.aggregates_in(column)
    if not calls:
        return None
    if len(calls) > 1 or calls[0] is not column.expression:
        raise bad_request("An aggregate of a GROUP BY over several partitions must stand alone.")
    return calls[0]


def _names(query: Query) -> list[str]:
    names = [syntax.column_name(column) for column in query.columns]
    return [name or f"${place}" for place, name in enumerate(names, 1)]
