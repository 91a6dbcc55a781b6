"""Computed properties: expressions a container gives names to, for use in queries."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cosmos_local import syntax
from cosmos_local.checker import check
from cosmos_local.errors import bad_request
from cosmos_local.parser import parse_query
from cosmos_local.shapes import check_members, objects_in
from cosmos_local.syntax import Column, Expression, Query
from cosmos_local.values import Document

MAX_COMPUTED = 20
_RESERVED = frozenset({"id", "_rid", "_ts", "_self", "_etag", "_attachments", "ttl"})


@dataclass(frozen=True, slots=True)
class Computed:
    """A computed property; its expression reads from the alias."""

    name: str
    alias: str
    expression: Expression

    def over(self, alias: Expression) -> Expression:
        """Return the expression over another alias."""

        def renamed(node: object) -> object | None:
            is_alias = isinstance(node, syntax.Name) and node.name == self.alias
            return alias if is_alias else None

        expression: Expression = syntax.rewrite(self.expression, renamed)
        return expression


def read_computed(properties: Document) -> tuple[Computed, ...]:
    """Check a container's computedProperties and parse their queries."""
    entries = objects_in(properties, "computedProperties")
    computed = tuple(map(_computed, entries))
    if len({one.name for one in computed}) < len(computed) or len(computed) > MAX_COMPUTED:
        raise bad_request(f"A container has up to {MAX_COMPUTED} computed properties, once each.")
    return computed


def substitute(query: Query, computed: tuple[Computed, ...]) -> Query:
    """Return the query with its computed properties replaced by what they compute."""
    by_name = {one.name: one for one in computed}
    roots = {
        source.alias
        for source in query.sources
        if isinstance(source.expression, syntax.Name) and not source.iterates
    }
    if not by_name or not roots:
        return query

    def change(node: object) -> object | None:
        path = syntax.path_of(node) if isinstance(node, syntax.Member) else None
        if path is None or len(path) != 2 or path[0] not in roots:  # noqa: PLR2004 - alias.name
            return None
        one = by_name.get(path[1])
        return None if one is None else one.over(syntax.Name(path[0], syntax.NOWHERE))

    named = [Column(column.expression, syntax.column_name(column)) for column in query.columns]
    columns = query.columns if query.value else tuple(named)
    rewritten: Query = syntax.rewrite(replace(query, columns=columns), change)
    return rewritten


def _computed(entry: Document) -> Computed:
    check_members(entry, "computed property", {"name", "query"})
    name, text = entry.get("name"), entry.get("query")
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name) or name in _RESERVED:
        raise bad_request(f"The name of a computed property is invalid: {name}.")
    if not isinstance(text, str):
        raise bad_request(f"The computed property '{name}' needs a query.")
    query = parse_query(text)
    check(query, {})
    plain = Query(columns=query.columns, value=True, sources=query.sources)
    source = query.sources[0] if len(query.sources) == 1 else None
    if (
        query != plain
        or source is None
        or not isinstance(source.expression, syntax.Name)
        or source.iterates
        or syntax.aggregates_in(query.columns)
    ):
        raise bad_request(
            f"The computed property '{name}' needs a query of one value from the container alone: "
            "no filter, no join, no aggregate."
        )
    return Computed(name, source.alias, query.columns[0].expression)
