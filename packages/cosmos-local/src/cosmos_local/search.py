"""The calls of a query that need an index: vector distances and full text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from cosmos_local import syntax
from cosmos_local.containers import Definition
from cosmos_local.distances import Measure, distance_of, read_measure
from cosmos_local.errors import bad_request
from cosmos_local.evaluator import ROW, Compiler, Evaluate, Scope
from cosmos_local.keys import Path
from cosmos_local.rankings import Ranking, Scored, fuse, together
from cosmos_local.search_indexes import SearchIndexes
from cosmos_local.storage import Area
from cosmos_local.syntax import Call, Query
from cosmos_local.texts import MAX_TERMS, word_count
from cosmos_local.values import UNDEFINED, Undefined, Value, is_number

Rank = Callable[[], Ranking]
_CONTAINS: dict[str, Callable[[Iterable[bool]], bool]] = {
    "FULLTEXTCONTAINS": all,
    "FULLTEXTCONTAINSALL": all,
    "FULLTEXTCONTAINSANY": any,
}
_SCORES = ("FULLTEXTSCORE", "_FULLTEXTSCORE")
_RANKED = ("RRF", "VECTORDISTANCE", *_SCORES)


@dataclass(frozen=True)
class Search:
    """The search calls of one query over one area."""

    query: Query
    definition: Definition
    area: Area
    now: float
    indexes: SearchIndexes
    compiler: Compiler
    _ranked: dict[int, Rank] = field(default_factory=dict)

    def prepare(self) -> Compiler:
        """Check the search calls and return a compiler that can compute them."""
        given: dict[int, Evaluate] = {}
        for call in _search_calls(self.query):
            if call.name == "VECTORDISTANCE":
                given[id(call)] = self._distance(call)
            elif call.name in _CONTAINS:
                given[id(call)] = self._contains(call)
            elif call.name in _SCORES:
                given[id(call)] = _by_row(self._rank(call))
            elif call.name == "_FULLTEXTWORDCOUNT":
                given[id(call)] = self._words(call)
        return self.compiler.with_given(given)

    def order(self) -> Ranking | None:
        """Return the ranking of ORDER BY RANK or VectorDistance; None for any other order."""
        rank = self.query.rank
        if rank is not None:
            if not isinstance(rank, Call) or rank.name not in _RANKED:
                raise bad_request("ORDER BY RANK needs FullTextScore, VectorDistance or RRF.")
            if rank.name != "RRF":
                return self._rank(rank)()
            components, weights = rrf_parts(rank, self.compiler)
            return fuse([self._rank(component)() for component in components], weights)
        keys = self.query.order_by
        call = keys[0].expression if keys else None
        names = [getattr(key.expression, "name", "") for key in keys]
        if "VECTORDISTANCE" not in names:
            return None
        if len(keys) > 1 or keys[0].descending or not isinstance(call, Call):
            raise bad_request(
                "ORDER BY VectorDistance takes no other key and no direction: "
                "the most similar come first."
            )
        return self._rank(call)()

    def _rank(self, call: Call) -> Rank:
        """Return what ranks the rows by a call; it is computed once, when first needed."""
        if id(call) not in self._ranked:
            rank = self._rank_vectors if call.name == "VECTORDISTANCE" else self._rank_texts
            self._ranked[id(call)] = cache(rank(call))
        return self._ranked[id(call)]

    def _rank_vectors(self, call: Call) -> Rank:
        path = self._path(call)
        if path is None:
            raise bad_request("ORDER BY VectorDistance needs a path of the document.")
        measure = read_measure(call, path, self.definition, self.compiler)

        def rank() -> Ranking:
            found = self.indexes.vectors(
                self.definition, self.area, path, len(measure.vector), self.now
            )
            parts = [index.distances(measure.vector, measure.function) for index in found]
            return together(parts)

        return rank

    def _distance(self, call: Call) -> Evaluate:
        """Return what computes a distance: from the index where one can be used."""
        path = self._path(call)
        if path is not None:
            return _by_row(self._rank(call))
        left, right = (self.compiler.compile(argument) for argument in call.arguments[:2])
        function = Measure.options(call, self.compiler).get("distanceFunction", "cosine")
        return lambda scope: distance_of(left(scope), right(scope), str(function).lower())

    def _contains(self, call: Call) -> Evaluate:
        path, phrases = self._text_path(call), self._phrases(call.arguments[1:])
        combine = _CONTAINS[call.name]

        @cache
        def matches() -> list[set[int]]:
            found: list[set[int]] = [set() for _ in phrases]
            for index in self.indexes.texts(self.area, path, self.now):
                for rows, phrase in zip(found, phrases, strict=True):
                    rows.update(index.containing(phrase))
            return found

        return lambda scope: combine(_row(scope) in rows for rows in matches())

    def _rank_texts(self, call: Call) -> Rank:
        path = self._text_path(call)
        if call.name == "_FULLTEXTSCORE":
            return self._rank_among(call, path)
        phrases = self._phrases(call.arguments[1:])
        if len(phrases) > MAX_TERMS:
            raise bad_request(
                f"One of the input values is invalid: FullTextScore takes {MAX_TERMS} terms."
            )

        def rank() -> Ranking:
            found = self.indexes.texts(self.area, path, self.now)
            parts = [Scored(index.scores(phrases), frozenset(index.known)) for index in found]
            return together(list[Ranking](parts))

        return rank

    def _rank_among(self, call: Call, path: Path) -> Rank:
        """Score with the container's statistics, as the query plan's component queries ask."""
        terms, documents, words, hits = map(self.compiler.constant, call.arguments[1:])
        numbers = [hit for hit in hits if is_number(hit)] if isinstance(hits, list) else []
        phrases = (
            [term for term in terms if isinstance(term, str)] if isinstance(terms, list) else []
        )
        if not is_number(documents) or not is_number(words) or len(numbers) != len(phrases):
            raise bad_request(
                "_FullTextScore needs terms, a document count, a word count and hit counts."
            )
        statistics = (int(documents), int(words), list(map(int, numbers)))

        def rank() -> Ranking:
            found = self.indexes.texts(self.area, path, self.now)
            parts = [
                Scored(index.scores_among(phrases, *statistics), frozenset(index.known))
                for index in found
            ]
            return together(list[Ranking](parts))

        return rank

    def _words(self, call: Call) -> Evaluate:
        text = self.compiler.compile(call.arguments[0])
        return lambda scope: word_count(text(scope))

    def _phrases(self, arguments: tuple[syntax.Expression, ...]) -> list[str]:
        phrases = [self.compiler.constant(argument) for argument in arguments]
        if not all(isinstance(phrase, str) for phrase in phrases):
            raise bad_request("Full-text functions search for strings, each its own argument.")
        return [str(phrase) for phrase in phrases]

    def _text_path(self, call: Call) -> Path:
        path = self._path(call)
        if path is None:
            raise bad_request(f"The first argument of {call.name} must be a path of the document.")
        return path

    def _path(self, call: Call) -> Path | None:
        """Return the path of a call's first argument, if it starts at the document."""
        path = syntax.path_of(call.arguments[0])
        source = self.query.sources[0] if self.query.sources else None
        if source is None or not isinstance(source.expression, syntax.Name) or source.iterates:
            return None
        if path is None or len(path) < 2 or path[0] != source.alias:  # noqa: PLR2004 - alias.x
            return None
        return path[1:]


def rrf_parts(rank: Call, compiler: Compiler) -> tuple[list[Call], list[float]]:
    """Split RRF(f1, f2, …, [w1, w2, …]) into scores and weights."""
    *heads, last = rank.arguments
    weights: Value = UNDEFINED
    if not (isinstance(last, Call) and last.name in ("FULLTEXTSCORE", "VECTORDISTANCE")):
        weights = compiler.constant(last)
    else:
        heads.append(last)
    components = [head for head in heads if isinstance(head, Call)]
    if len(components) < max(len(heads), 2) or any(
        c.name not in ("FULLTEXTSCORE", "VECTORDISTANCE") for c in components
    ):
        raise bad_request(
            "RRF needs two or more of FullTextScore and VectorDistance, then optional weights."
        )
    if isinstance(weights, Undefined):
        return components, [1.0] * len(components)
    numbers = (
        [weight for weight in weights if is_number(weight)] if isinstance(weights, list) else []
    )
    if len(numbers) != len(components):
        raise bad_request("RRF needs as many weights, all of them numbers, as it has scores.")
    return components, [float(number) for number in numbers]


def _search_calls(node: object) -> Iterator[Call]:
    """Yield the calls of a query, those of subqueries and sources too."""
    if isinstance(node, Call):
        yield node
    inner: Iterable[object] = syntax.children(node)
    if isinstance(node, Query):
        inner = syntax.clauses(node)
    elif isinstance(node, syntax.Subquery):
        inner = (node.query,)
    for part in inner:
        yield from _search_calls(part)


def _by_row(rank: Rank) -> Evaluate:
    return lambda scope: rank().get(_row(scope))


def _row(scope: Scope) -> int:
    row = scope[ROW]
    return row if isinstance(row, int) else 0
