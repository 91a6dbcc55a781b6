"""Syntax tree back to query text; parsing the text gives the same tree."""

from __future__ import annotations

import json

from cosmos_local import syntax
from cosmos_local.syntax import Expression, Query, Source
from cosmos_local.values import Undefined, Value


def render_query(query: Query) -> str:
    """Write a SELECT."""
    parts = ["SELECT", "DISTINCT" if query.distinct else ""]
    parts.append(f"TOP {render(query.top)}" if query.top is not None else "")
    parts.append(
        ("VALUE " if query.value else "") + (", ".join(map(_column, query.columns)) or "*")
    )
    parts.append(_tail(query))
    return " ".join(part for part in parts if part)


def render_from(query: Query) -> str:
    """Write FROM and JOIN."""
    return "FROM " + " JOIN ".join(map(_source, query.sources)) if query.sources else ""


def _tail(query: Query) -> str:
    parts = [render_from(query)]
    if query.where is not None:
        parts.append(f"WHERE {render(query.where)}")
    if query.group_by:
        parts.append("GROUP BY " + ", ".join(map(render, query.group_by)))
    if query.order_by:
        keys = (
            render(key.expression) + (" DESC" if key.descending else "") for key in query.order_by
        )
        parts.append("ORDER BY " + ", ".join(keys))
    if query.rank is not None:
        parts.append(f"ORDER BY RANK {render(query.rank)}")
    if query.offset is not None and query.limit is not None:
        parts.append(f"OFFSET {render(query.offset)} LIMIT {render(query.limit)}")
    return " ".join(part for part in parts if part)


def _column(column: syntax.Column) -> str:
    return render(column.expression) + (f" AS {column.alias}" if column.alias is not None else "")


def _source(source: Source) -> str:
    if source.query is not None:
        return f"({render_query(source.query)}) AS {source.alias}"
    path = _path(source.expression) if source.expression is not None else ""
    return f"{source.alias} IN {path}" if source.iterates else f"{path} AS {source.alias}"


def _path(expression: Expression) -> str:
    if isinstance(expression, syntax.Member):
        return f"{_path(expression.base)}[{render(expression.key)}]"
    return render(expression)


def render(node: Expression) -> str:
    """Write an expression, every operation in parentheses."""
    match node:
        case syntax.Literal(value):
            return _literal(value)
        case syntax.Parameter(name) | syntax.Name(name):
            return name
        case syntax.Member(base, key):
            return f"{render(base)}[{render(key)}]"
        case syntax.Unary(operator, operand):
            return f"({operator} {render(operand)})"
        case syntax.Binary(operator, left, right):
            return f"({render(left)} {operator} {render(right)})"
        case _:
            return _compound(node)


def _compound(node: Expression) -> str:  # noqa: PLR0911 - a dispatch, one line per kind of node
    match node:
        case syntax.Call(name, arguments):
            return f"{name}({_list(arguments)})"
        case syntax.Between(operand, low, high):
            return f"({render(operand)} BETWEEN {render(low)} AND {render(high)})"
        case syntax.In(operand, choices):
            return f"({render(operand)} IN ({_list(choices)}))"
        case syntax.Like(operand, pattern, escape):
            tail = "" if escape is None else f" ESCAPE {render(escape)}"
            return f"({render(operand)} LIKE {render(pattern)}{tail})"
        case syntax.Conditional(test, yes, no):
            return f"({render(test)} ? {render(yes)} : {render(no)})"
        case syntax.ArrayOf(items):
            return f"[{_list(items)}]"
        case syntax.ObjectOf(members):
            return (
                "{"
                + ", ".join(f"{json.dumps(name)}: {render(item)}" for name, item in members)
                + "}"
            )
        case syntax.Subquery(kind, query):
            return f"{'' if kind == 'SCALAR' else kind}({render_query(query)})"
        case _:
            raise AssertionError(node)


def _list(items: tuple[Expression, ...]) -> str:
    return ", ".join(map(render, items))


def _literal(value: Value) -> str:
    return "undefined" if isinstance(value, Undefined) else json.dumps(value)
