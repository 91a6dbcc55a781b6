"""One execution of a query: rows in, a page of results out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from cosmos_local import planner, syntax
from cosmos_local.access import Access, count_rows, find_access
from cosmos_local.containers import Definition
from cosmos_local.evaluator import ROW, Compiler, Scope
from cosmos_local.paging import Page, Position, Token, fill, is_after, unwrap, wrap
from cosmos_local.search import Search
from cosmos_local.search_indexes import SearchIndexes
from cosmos_local.select import Select, root_scope
from cosmos_local.storage import Area, Item, Storage
from cosmos_local.syntax import Query
from cosmos_local.values import Undefined, Value, dump


class Run:
    """A query over one area, compiled."""

    def __init__(
        self,
        query: Query,
        parameters: Mapping[str, Value],
        area: Area,
        definition: Definition,
        storage: Storage,
        indexes: SearchIndexes,
        now: float,
    ) -> None:
        """Check and compile the query; nothing is read yet, but by searches."""
        self._query = query
        self._parameters = parameters
        self._area = area
        self._definition = definition
        self._storage = storage
        self._now = now
        search = Search(query, definition, area, now, indexes, Compiler(parameters, now))
        compiler = search.prepare()
        self._ranking = search.order()
        self._select = Select(query, compiler, ordered=self._ranking is not None)

    def page(self, start: Token, size: int, cut: int | None) -> Page:
        """Return the page that begins after the token."""
        if not self._query.sources:
            results = self._numbered(self._select.results([{}]), start)
        elif (count := self._count()) is not None:
            results = self._numbered(iter([count]), start)
        elif self._is_keyed():
            results = self._keyed(start)
        else:
            results = self._numbered(self._select.results(self._scopes(start)), start)
        return fill(results, start, size, exact_cut=cut)

    def _is_keyed(self) -> bool:
        """Tell whether each result is one document's: a page can go on from a document then."""
        query = self._query
        single = len(query.sources) == 1 and query.sources[0].query is None
        plain = not query.distinct and not self._select.is_grouped and self._ranking is None
        return single and not query.sources[0].iterates and plain

    def _count(self) -> Value | None:
        """Return the result of a query that only counts the rows of a partition."""
        query = self._query
        counted = query.columns and all(map(_is_count, query.columns))
        if not counted or query.group_by or self._area.partition is None or query.order_by:
            return None
        if len(query.sources) != 1 or query.sources[0].query is not None:
            return None
        if query.sources[0].iterates or not isinstance(query.sources[0].expression, syntax.Name):
            return None
        rows = count_rows(
            query, self._parameters, self._definition, self._area, self._storage, self._now
        )
        if rows is None or query.value:
            return rows
        names = [syntax.column_name(column) for column in query.columns]
        return {name or f"${place}": rows for place, name in enumerate(names, 1)}

    @cached_property
    def _access(self) -> Access | None:
        if self._ranking is not None or not self._is_keyed():
            return None
        return find_access(
            self._query, self._parameters, self._definition, self._area, self._storage
        )

    def _keyed(self, start: Token) -> Iterator[tuple[Position, str]]:
        directions = [key.descending for key in self._query.order_by]
        scopes = self._select.matching(self._scopes(start))
        if self._access is None:
            scopes = self._select.ordered(scopes)
        skip = self._select.offset if start.position is None else 0
        left = None if self._select.limit is None else self._select.limit - start.given
        for scope in scopes:
            if left is not None and left <= 0:
                return
            position = self._position(scope)
            if start.position is not None and not is_after(position, start.position, directions):
                continue
            value = self._select.project(scope)
            if isinstance(value, Undefined):
                continue
            if skip > 0:
                skip -= 1
                continue
            left = None if left is None else left - 1
            yield position, dump(value)

    def _position(self, scope: Scope) -> Position:
        return [*map(wrap, self._select.order_values(scope)), scope[ROW]]

    def _numbered(self, results: Iterator[Value], start: Token) -> Iterator[tuple[Position, str]]:
        for number, value in enumerate(self._select.window(results), 1):
            if number > start.given:
                yield [number], dump(value)

    def _scopes(self, start: Token) -> Iterator[Scope]:
        whole = planner.reads_vectors(self._query, self._definition.packed_vectors)
        for item in self._items(start):
            yield root_scope(item.document(whole=whole), item.row)

    def _items(self, start: Token) -> Iterator[Item]:
        apart = self._definition.packed_vectors
        narrowed = planner.narrow(self._query, self._parameters, apart)
        if self._ranking is not None:
            return self._storage.fetch(self._best_first(narrowed), self._area, self._now)
        position = start.position if self._is_keyed() else None
        if self._access is not None:
            after = None if position is None else [unwrap(part) for part in position[:-1]]
            return self._storage.fetch(
                self._access.rows(self._storage, after), self._area, self._now
            )
        after_row = 0 if self._query.order_by or position is None else int(str(position[-1]))
        return self._storage.scan(self._area, self._now, narrowed=narrowed, after_row=after_row)

    def _best_first(self, narrowed: planner.Narrowing) -> Iterator[int]:
        """Yield the rows by falling score, those without one last, in order of creation."""
        seen: set[int] = set()
        for row in self._ranking.best_first() if self._ranking else ():
            seen.add(row)
            yield row
        for row in self._storage.rows_in(self._area, self._now, narrowed):
            if row not in seen:
                yield row


def _is_count(column: syntax.Column) -> bool:
    call = column.expression
    if not isinstance(call, syntax.Call) or call.name != "COUNT":
        return False
    counted = call.arguments[0]
    return isinstance(counted, syntax.Literal) and not isinstance(counted.value, Undefined)
