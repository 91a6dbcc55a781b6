"""How a query gets at its rows: by a sorted list, where one partition is large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cosmos_local import syntax
from cosmos_local.conjuncts import Bound, Conjuncts, conjuncts_of
from cosmos_local.containers import Definition
from cosmos_local.keys import Path
from cosmos_local.lists import LAST, Keys, Span, encode
from cosmos_local.storage import Area, Storage
from cosmos_local.syntax import Query
from cosmos_local.values import Value, equal, load, type_order

LARGE = 200  # rows of a partition from which on a list is worth its upkeep
MAX_EQUALITIES = 4  # the properties a list is grouped by


@dataclass(frozen=True, slots=True)
class Access:
    """A part of a sorted list that has all rows a query can keep, in the query's order."""

    span: Span
    prefix: bytes
    descending: tuple[bool, ...]  # of each key of ORDER BY, as the list has it

    def rows(self, storage: Storage, after: Sequence[Value] | None) -> Iterator[int]:
        """Yield the rows, from the first that can follow the given values of ORDER BY."""
        span = self.span
        if after is not None:
            keys = zip(after, self.descending, strict=True)
            place = self.prefix + b"".join(encode(v, descending=d) for v, d in keys)
            if span.backwards:
                span = replace(span, high=min(span.high, place + LAST))
            else:
                span = replace(span, low=max(span.low, place))
        return storage.lists.rows(span)


def find_access(
    query: Query,
    parameters: Mapping[str, Value],
    definition: Definition,
    area: Area,
    storage: Storage,
) -> Access | None:
    """Return the access by a list, made if need be; None for a small partition or other queries."""
    ordered = _order(query, definition.packed_vectors)
    if area.partition is None or ordered is None or not storage.is_large(area, LARGE):
        return None
    found = conjuncts_of(query, parameters)
    fixed = _fixed(found, definition)
    if not fixed and not ordered:
        return None
    backwards = bool(ordered) and ordered[0][1]
    turned = tuple((path, descending is not backwards) for path, descending in ordered)
    keys: Keys = (*((path, False) for path in fixed), *turned)
    made = storage.lists.find(definition.number, keys)
    if made is None:
        storage.lists.build(definition.number, keys)
        made = storage.lists.find(definition.number, keys)
    if made is None:
        return None
    prefix = b"".join(encode(found.equal[path]) for path in fixed)
    low, high = prefix, prefix + LAST
    for bound in found.bounds:
        if ordered and bound[0] == ordered[0][0]:
            low, high = _bounded(bound, prefix, low, high)
    span = Span(made.number, area.partition, low, high, backwards)
    return Access(span, prefix, tuple(descending for _, descending in turned))


def count_rows(
    query: Query,
    parameters: Mapping[str, Value],
    definition: Definition,
    area: Area,
    storage: Storage,
    now: float,
) -> int | None:
    """Count a partition's rows from an index where the filter has only equalities."""
    found = conjuncts_of(query, parameters)
    if query.where is not None and (not found.is_all or found.bounds):
        return None
    others = found.equal.keys() - set(definition.key.paths)
    if not _is_of(found, definition, area):
        return 0
    if not others:
        return storage.count(area, now)
    if len(others) > MAX_EQUALITIES:
        return None
    access = find_access(query, parameters, definition, area, storage)
    return None if access is None else storage.lists.count(access.span, now)


def _order(query: Query, apart: tuple[str, ...]) -> tuple[tuple[Path, bool], ...] | None:
    """Return the paths a query orders by, none for no order; None when a list cannot serve it."""
    if query.rank is not None or len(query.sources) != 1 or query.distinct:
        return None
    if not isinstance(query.sources[0].expression, syntax.Name) or query.sources[0].iterates:
        return None
    alias, ordered = query.sources[0].alias, []
    for key in query.order_by:
        path = syntax.path_of(key.expression)
        if path is None or len(path) < 2 or path[0] != alias:  # noqa: PLR2004 - alias.x
            return None
        if path[1] in apart:
            return None
        ordered.append((path[1:], key.descending))
    return tuple(ordered)


def _fixed(found: Conjuncts, definition: Definition) -> tuple[Path, ...]:
    """Return the paths a filter fixes; the partition key is fixed anyway, vectors are not kept."""
    apart = definition.packed_vectors
    paths = sorted(
        path for path in found.equal if path not in definition.key.paths and path[0] not in apart
    )
    return tuple(paths[:MAX_EQUALITIES])


def _bounded(bound: Bound, prefix: bytes, low: bytes, high: bytes) -> tuple[bytes, bytes]:
    """Narrow a part to the values on one side of a bound, and of its type."""
    _, operator, value = bound
    place, kind = prefix + encode(value), prefix + encode(value)[:1]
    if operator in (">", ">="):
        return max(low, place), min(high, kind + LAST)
    return max(low, kind), min(high, place + LAST)


def _is_of(found: Conjuncts, definition: Definition, area: Area) -> bool:
    """Tell whether a filter's values for the partition key are those of the area."""
    key = load(area.partition or "[]")
    parts = dict(zip(definition.key.paths, key if isinstance(key, list) else [], strict=False))
    return all(
        type_order(found.equal[path]) == type_order(part) and equal(found.equal[path], part)
        for path, part in parts.items()
        if path in found.equal
    )
