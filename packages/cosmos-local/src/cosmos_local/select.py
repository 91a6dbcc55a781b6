"""One SELECT as a pipeline over scopes: sources, filter, groups, order, window, projection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from cosmos_local import syntax
from cosmos_local.errors import bad_request
from cosmos_local.evaluator import ROW, Compiler, Evaluate, Rows, Scope
from cosmos_local.functions.numbers import finite
from cosmos_local.syntax import Query, Source
from cosmos_local.values import (
    UNDEFINED,
    Undefined,
    Value,
    canonical,
    is_number,
    sort_key,
    without_undefined,
)

ROOT = "#root"  # the document the outermost FROM starts from; no alias can be called this
MAX_ROWS = 1_000_000  # a cross join beyond this is refused rather than left to fill the memory


class Select:
    """A compiled SELECT."""

    def __init__(
        self,
        query: Query,
        compiler: Compiler,
        *,
        outermost: bool = True,
        ordered: bool = False,
    ) -> None:
        """Compile every clause once; `ordered` says that the documents come in order already."""
        compiler.subquery = lambda inner: Select(inner, compiler, outermost=False).values
        self._query = query
        self._sources = [
            _Input(source, compiler, outermost=outermost and first)
            for source, first in zip(
                query.sources, [True] + [False] * len(query.sources), strict=False
            )
        ]
        self._where = None if query.where is None else compiler.compile(query.where)
        self._groups = _Groups(query, compiler) if query.group_by or _aggregates(query) else None
        self._project = _projection(query, self._groups.compiler if self._groups else compiler)
        keys = () if ordered else query.order_by
        self._order = [(compiler.compile(key.expression), key.descending) for key in keys]
        self.offset = amount(compiler, query.offset, "OFFSET") or 0
        limits = [amount(compiler, query.top, "TOP"), amount(compiler, query.limit, "LIMIT")]
        self.limit = min((limit for limit in limits if limit is not None), default=None)

    @property
    def is_grouped(self) -> bool:
        """Tell whether a result represents several documents."""
        return self._groups is not None

    def values(self, scope: Scope) -> list[Value]:
        """Return everything the query selects for one enclosing scope."""
        return list(self.window(self.results([scope])))

    def results(self, scopes: Iterable[Scope]) -> Iterator[Value]:
        """Yield the results before TOP, OFFSET and LIMIT, as lazily as the clauses allow."""
        kept = self.ordered(self.matching(scopes))
        projected = (self.project(scope) for scope in kept)
        defined = (value for value in projected if not isinstance(value, Undefined))
        return _distinct(defined) if self._query.distinct else defined

    def window(self, values: Iterator[Value]) -> Iterator[Value]:
        """Apply TOP, OFFSET and LIMIT."""
        return islice(values, self.offset, None if self.limit is None else self.offset + self.limit)

    def matching(self, scopes: Iterable[Scope]) -> Iterator[Scope]:
        """Yield the scopes that FROM and JOIN build and WHERE keeps; grouped, one per group."""
        for source in self._sources:
            scopes = source.bind(scopes)
        if self._where is not None:
            scopes = filter(_holds(self._where), scopes)
        return self._groups.fold(scopes) if self._groups else iter(scopes)

    def ordered(self, scopes: Iterator[Scope]) -> Iterator[Scope]:
        """Sort by ORDER BY; ties keep the order of storage in both directions."""
        if not self._order or self.is_grouped:
            return scopes
        rows = list(scopes)
        for evaluate, descending in reversed(self._order):
            rows.sort(key=lambda scope, by=evaluate: sort_key(by(scope)), reverse=descending)  # type: ignore[misc]
        return iter(rows)

    def order_values(self, scope: Scope) -> list[Value]:
        """Return the values of the ORDER BY items."""
        return [evaluate(scope) for evaluate, _ in self._order]

    def project(self, scope: Scope) -> Value:
        """Return what SELECT makes of a scope, or undefined when nothing is left of it."""
        return without_undefined(self._project(scope))


class _Input:
    """One source of FROM or JOIN."""

    def __init__(self, source: Source, compiler: Compiler, *, outermost: bool) -> None:
        self._alias = source.alias
        self._iterates = source.iterates
        self._root = syntax.leading_name(source) if outermost else None
        self._values: Rows
        self._whole: Select | None = None
        if source.query is not None:
            inner = Select(source.query, compiler, outermost=outermost)
            self._values, self._whole = inner.values, inner if outermost else None
        else:
            expression = source.expression or syntax.Literal(UNDEFINED)
            self._values = self._from(compiler.compile(expression))

    def bind(self, scopes: Iterable[Scope]) -> Iterator[Scope]:
        """Yield one scope per value of the source, with the alias bound to it."""
        if self._whole is not None:  # a subquery over all documents, not over each
            for value in self._whole.window(self._whole.results(scopes)):
                yield {self._alias: value}
            return
        count = 0
        for scope in scopes:
            inside = scope if self._root is None else {**scope, self._root: scope[ROOT]}
            for value in self._values(inside):
                count += 1
                if count > MAX_ROWS:
                    raise bad_request("The query joins too many rows.")
                yield {**scope, self._alias: value}

    def _from(self, evaluate: Evaluate) -> Rows:
        def values(scope: Scope) -> list[Value]:
            value = evaluate(scope)
            if self._iterates:
                return value if isinstance(value, list) else []
            return [] if isinstance(value, Undefined) else [value]

        return values


class _Groups:
    """GROUP BY and aggregates: one scope per group, with the aggregates computed."""

    def __init__(self, query: Query, compiler: Compiler) -> None:
        self._keys = [compiler.compile(expression) for expression in query.group_by]
        self._single = not query.group_by
        self._aggregates: list[tuple[str, str, Evaluate]] = []
        given: dict[int, Evaluate] = {}
        for number, call in enumerate(_aggregates(query)):
            slot = f"#aggregate{number}"
            self._aggregates.append((slot, call.name, compiler.compile(call.arguments[0])))
            given[id(call)] = _slot(slot)
        self.compiler = compiler.with_given(given)

    def fold(self, scopes: Iterable[Scope]) -> Iterator[Scope]:
        """Collect the groups, then yield them in order of first appearance."""
        groups: dict[tuple[str, ...], list[Scope]] = {(): []} if self._single else {}
        for scope in scopes:
            groups.setdefault(tuple(canonical(key(scope)) for key in self._keys), []).append(scope)
        for members in groups.values():
            computed = {
                slot: aggregate(name, [argument(scope) for scope in members])
                for slot, name, argument in self._aggregates
            }
            yield {**(members[0] if members else {}), **computed}


def aggregate(name: str, values: list[Value]) -> Value:
    """Compute COUNT, SUM, AVG, MIN or MAX; undefined values do not take part."""
    defined = [value for value in values if not isinstance(value, Undefined)]
    if name == "COUNT":
        return len(defined)
    if name in ("SUM", "AVG"):
        numbers = [value for value in defined if is_number(value)]
        if len(numbers) < len(defined) or (name == "AVG" and not numbers):
            return UNDEFINED
        return finite(lambda: sum(numbers) if name == "SUM" else sum(numbers) / len(numbers))
    if not defined or any(isinstance(value, list | dict) for value in defined):
        return UNDEFINED
    return min(defined, key=sort_key) if name == "MIN" else max(defined, key=sort_key)


def amount(compiler: Compiler, expression: syntax.Expression | None, clause: str) -> int | None:
    """Evaluate what TOP, OFFSET or LIMIT say, and refuse what is no count."""
    if expression is None:
        return None
    value = compiler.constant(expression)
    if not is_number(value) or value != int(value) or not 0 <= value <= 2**31 - 1:
        raise bad_request(f"The {clause} value must be a non-negative integer.")
    return int(value)


def _projection(query: Query, compiler: Compiler) -> Evaluate:
    if not query.columns:
        alias = query.sources[0].alias
        return lambda scope: scope[alias]
    if query.value:
        return compiler.compile(query.columns[0].expression)
    unnamed = 0
    members: list[tuple[str, Evaluate]] = []
    for column in query.columns:
        name = syntax.column_name(column)
        if name is None:
            unnamed += 1
            name = f"${unnamed}"
        members.append((name, compiler.compile(column.expression)))
    return lambda scope: {name: evaluate(scope) for name, evaluate in members}


def _aggregates(query: Query) -> list[syntax.Call]:
    return [call for column in query.columns for call in syntax.aggregates_in(column)]


def _slot(name: str) -> Evaluate:
    return lambda scope: scope[name]


def _holds(where: Evaluate) -> Callable[[Scope], bool]:
    return lambda scope: where(scope) is True


def _distinct(values: Iterator[Value]) -> Iterator[Value]:
    seen: set[str] = set()
    for value in values:
        key = canonical(value)
        if key not in seen:
            seen.add(key)
            yield value


def root_scope(document: Value, row: int) -> Scope:
    """Return the scope the outermost FROM starts from."""
    return {ROOT: document, ROW: row}
