"""Answers one page of a query over one area of a container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cosmos_local import planner, rules
from cosmos_local.checker import check
from cosmos_local.containers import Definition
from cosmos_local.evaluator import ROW, Compiler, Scope
from cosmos_local.paging import Page, Position, Token, decode, fill, fingerprint, is_after, wrap
from cosmos_local.parser import parse_query
from cosmos_local.search import Search, SearchIndexes
from cosmos_local.select import Select, root_scope
from cosmos_local.storage import Area, Storage
from cosmos_local.syntax import Query
from cosmos_local.values import Undefined, Value, dump


@dataclass(frozen=True, slots=True)
class Question:
    """A query as asked: its text, where, how much, and from where on."""

    text: str
    parameters: Mapping[str, Value]
    area: Area
    size: int
    continuation: str | None = None
    cut: int | None = None
    everywhere: bool = False  # asked of the gateway without a partition key or range


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of results as JSON texts."""

    documents: list[str]
    continuation: str | None
    rows_read: int


def answer(
    question: Question, definition: Definition, storage: Storage, indexes: SearchIndexes, now: float
) -> Answer:
    """Check the query, run it, and cut the page."""
    query = parse_query(question.text)
    check(
        query,
        question.parameters,
        internal=question.area.partition is None and not question.everywhere,
    )
    rules.check_limits(query)
    rules.check_indexes(query, definition)
    if question.everywhere:
        rules.check_servable(query, definition)
    area = question.area
    mark = fingerprint(
        area.container,
        area.partition,
        area.epk_from,
        area.epk_to,
        question.text,
        question.parameters,
    )
    start = decode(question.continuation, mark)
    before = storage.rows_read
    page = _Run(query, question, definition, storage, indexes, now).page(start)
    token = None if page.token is None else page.token.encode(mark)
    return Answer(page.documents, token, storage.rows_read - before)


class _Run:
    """One execution of a query."""

    def __init__(
        self,
        query: Query,
        question: Question,
        definition: Definition,
        storage: Storage,
        indexes: SearchIndexes,
        now: float,
    ) -> None:
        self._query = query
        self._question = question
        self._definition = definition
        self._storage = storage
        self._now = now
        compiler = Compiler(question.parameters, now)
        search = Search(query, definition, question.area, now, indexes, compiler)
        compiler = search.prepare()
        self._scores = search.order()
        self._select = Select(query, compiler, ordered=self._scores is not None)

    def page(self, start: Token) -> Page:
        """Return the page that begins after the token."""
        if not self._query.sources:
            results = self._numbered(self._select.results([{}]), start)
        elif self._is_keyed():
            results = self._keyed(start)
        else:
            results = self._numbered(self._select.results(self._scopes(0)), start)
        return fill(results, start, self._question.size, exact_cut=self._question.cut)

    def _is_keyed(self) -> bool:
        """Tell whether each result is one document's, so that a page can go on from a document."""
        query = self._query
        single = (
            len(query.sources) == 1
            and query.sources[0].query is None
            and not query.sources[0].iterates
        )
        return (
            single and not query.distinct and not self._select.is_grouped and self._scores is None
        )

    def _keyed(self, start: Token) -> Iterator[tuple[Position, str]]:
        directions = [key.descending for key in self._query.order_by]
        after_row = 0 if directions or start.position is None else int(str(start.position[-1]))
        scopes = self._select.ordered(self._select.matching(self._scopes(after_row)))
        skip = self._select.offset if start.position is None else 0
        left = None if self._select.limit is None else self._select.limit - start.given
        for scope in scopes:
            if left is not None and left <= 0:
                return
            position = self._position(scope)
            if (
                directions
                and start.position is not None
                and not is_after(position, start.position, directions)
            ):
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

    def _scopes(self, after_row: int) -> Iterator[Scope]:
        apart = self._definition.loose_vectors
        narrowed = planner.narrow(self._query, self._question.parameters, apart)
        whole = planner.reads_vectors(self._query, apart)
        if self._scores is None:
            items = self._storage.scan(
                self._question.area, self._now, narrowed=narrowed, after_row=after_row
            )
        else:
            items = self._storage.fetch(self._best_first(self._scores, narrowed))
        return (root_scope(item.document(whole=whole), item.row) for item in items)

    def _best_first(self, scores: dict[int, float], narrowed: planner.Narrowing) -> list[int]:
        """Return the rows by falling score, those without one last; equal ones in order of creation."""
        rows = self._storage.matching_rows(self._question.area, self._now, narrowed)
        return sorted(rows, key=lambda row: scores.get(row, float("-inf")), reverse=True)
