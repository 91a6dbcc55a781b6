"""The calls of a query that need an index: vector distances and full text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from cosmos_local import syntax
from cosmos_local.containers import Definition, Path
from cosmos_local.errors import bad_request
from cosmos_local.evaluator import ROW, Compiler, Evaluate, Scope
from cosmos_local.indexes import Indexes
from cosmos_local.ranking import fuse
from cosmos_local.rules import check_vector
from cosmos_local.storage import Area, Storage
from cosmos_local.syntax import Call, Query
from cosmos_local.texts import TextIndex, word_count
from cosmos_local.values import UNDEFINED, Undefined, Value, is_number
from cosmos_local.vectors import VectorIndex

_CONTAINS: dict[str, Callable[[Iterable[bool]], bool]] = {
    "FULLTEXTCONTAINS": all,
    "FULLTEXTCONTAINSALL": all,
    "FULLTEXTCONTAINSANY": any,
}
_BRUTE_FORCE, _OPTIONS = 2, 3  # the optional arguments of VectorDistance


class SearchIndexes:
    """The vector and text indexes of an account."""

    def __init__(self, storage: Storage) -> None:
        """Build nothing yet."""
        self.vectors = Indexes(storage, VectorIndex)
        self.texts = Indexes(storage, TextIndex)

    def close(self) -> None:
        """Close what the indexes hold open."""
        for index in self.texts.all():
            index.close()


@dataclass(frozen=True)
class Search:
    """The search calls of one query over one area."""

    query: Query
    definition: Definition
    area: Area
    now: float
    indexes: SearchIndexes
    compiler: Compiler
    given: dict[int, Evaluate] = field(default_factory=dict)

    def prepare(self) -> Compiler:
        """Check the search calls and return a compiler that can compute them."""
        calls = [part for part in _everything(self.query) if isinstance(part, Call)]
        for call in calls:
            if call.name == "VECTORDISTANCE":
                self.given[id(call)] = self._distance(call)
            elif call.name in _CONTAINS:
                self.given[id(call)] = self._contains(call)
            elif call.name in ("FULLTEXTSCORE", "_FULLTEXTSCORE"):
                self.given[id(call)] = _by_row(self._text_scores(call))
            elif call.name == "_FULLTEXTWORDCOUNT":
                self.given[id(call)] = self._words(call)
        return self.compiler.with_given(self.given)

    def order(self) -> dict[int, float] | None:
        """Return the score of each row that ORDER BY RANK or VectorDistance ranks; None for any other order."""
        if self.query.rank is not None:
            return self._ranked(self.query.rank)
        keys = [key.expression for key in self.query.order_by]
        if not any(isinstance(key, Call) and key.name == "VECTORDISTANCE" for key in keys):
            return None
        call = keys[0]
        if len(keys) > 1 or self.query.order_by[0].descending or not isinstance(call, Call):
            raise bad_request(
                "ORDER BY VectorDistance stands alone and has no direction: the most similar come first."
            )
        return self._component(call)

    def _ranked(self, rank: syntax.Expression) -> dict[int, float]:
        if not isinstance(rank, Call) or rank.name not in (
            "RRF",
            "FULLTEXTSCORE",
            "_FULLTEXTSCORE",
            "VECTORDISTANCE",
        ):
            raise bad_request("ORDER BY RANK needs FullTextScore, VectorDistance or RRF.")
        if rank.name != "RRF":
            return self._component(rank)
        components, weights = rrf_parts(rank, self.compiler)
        return fuse([self._component(component) for component in components], weights)

    def _component(self, call: Call) -> dict[int, float]:
        if call.name != "VECTORDISTANCE":
            return self._text_scores(call)()
        sign = -1 if self._function(call) == "euclidean" else 1
        return {row: sign * score for row, score in self._vector_scores(call)().items()}

    def _distance(self, call: Call) -> Evaluate:
        if len(call.arguments) > _BRUTE_FORCE and not isinstance(
            self.compiler.constant(call.arguments[_BRUTE_FORCE]), bool
        ):
            raise bad_request("The third argument of VectorDistance must be a boolean.")
        return _by_row(self._vector_scores(call))

    def _vector_scores(self, call: Call) -> Callable[[], dict[int, float]]:
        path = self._path(call)
        policy = next((policy for policy in self.definition.vectors if policy.path == path), None)
        if policy is None:
            raise bad_request(
                f"VectorDistance needs a vector embedding policy for '/{'/'.join(path)}'."
            )
        vector = check_vector(self.compiler.constant(call.arguments[1]), policy.dimensions)
        function = self._function(call)

        @cache
        def scores() -> dict[int, float]:
            found: dict[int, float] = {}
            for index in self.indexes.vectors.of(self.area, path, self.now):
                found |= index.distances(vector, function)
            return found

        return scores

    def _function(self, call: Call) -> str:
        options = (
            self.compiler.constant(call.arguments[_OPTIONS])
            if len(call.arguments) > _OPTIONS
            else {}
        )
        if not isinstance(options, dict) or options.keys() - {"distanceFunction", "dataType"}:
            raise bad_request("The options of VectorDistance can be distanceFunction and dataType.")
        path = self._path(call)
        stated = next(
            (policy.function for policy in self.definition.vectors if policy.path == path), "cosine"
        )
        function = str(options.get("distanceFunction", stated)).lower()
        if function not in ("cosine", "dotproduct", "euclidean"):
            raise bad_request(f"VectorDistance does not know the distance function '{function}'.")
        return function

    def _contains(self, call: Call) -> Evaluate:
        path, phrases = self._text_path(call), self._phrases(call.arguments[1:])
        combine = _CONTAINS[call.name]

        @cache
        def matches() -> list[set[int]]:
            indexes = list(self.indexes.texts.of(self.area, path, self.now))
            return [
                set().union(*(index.containing(phrase) for index in indexes)) for phrase in phrases
            ]

        return lambda scope: combine(_row(scope) in rows for rows in matches())

    def _text_scores(self, call: Call) -> Callable[[], dict[int, float]]:
        path = self._text_path(call)
        if call.name == "_FULLTEXTSCORE":
            return self._scores_among(call, path)
        phrases = self._phrases(call.arguments[1:])

        @cache
        def scores() -> dict[int, float]:
            found: dict[int, float] = {}
            for index in self.indexes.texts.of(self.area, path, self.now):
                found |= index.scores(phrases)
            return found

        return scores

    def _scores_among(self, call: Call, path: Path) -> Callable[[], dict[int, float]]:
        """Score with the container's statistics, as the query plan's component queries ask."""
        terms, documents, words, hits = (
            self.compiler.constant(argument) for argument in call.arguments[1:]
        )
        numbers = hits if isinstance(hits, list) else []
        if (
            not isinstance(terms, list)
            or not is_number(documents)
            or not is_number(words)
            or len(numbers) != len(terms)
        ):
            raise bad_request(
                "_FullTextScore needs terms, a document count, a word count and hit counts."
            )
        total, length, phrases = int(documents), int(words), [str(term) for term in terms]

        @cache
        def scores() -> dict[int, float]:
            found: dict[int, float] = {}
            for index in self.indexes.texts.of(self.area, path, self.now):
                found |= index.scores_among(
                    phrases, total, length, [int(number) for number in numbers]
                )
            return found

        return scores

    def _words(self, call: Call) -> Evaluate:
        text = self.compiler.compile(call.arguments[0])
        return lambda scope: word_count(text(scope))

    def _phrases(self, arguments: tuple[syntax.Expression, ...]) -> list[str]:
        phrases = [self.compiler.constant(argument) for argument in arguments]
        if not all(isinstance(phrase, str) for phrase in phrases):
            raise bad_request("Full-text functions search for strings.")
        return [str(phrase) for phrase in phrases]

    def _text_path(self, call: Call) -> Path:
        path = self._path(call)
        if path not in self.definition.texts or path not in self.definition.text_indexes:
            raise bad_request(
                f"{call.name} needs a full-text policy and index for '/{'/'.join(path)}'."
            )
        return path

    def _path(self, call: Call) -> Path:
        path = syntax.path_of(call.arguments[0])
        sources = self.query.sources
        simple = (
            len(sources) >= 1
            and isinstance(sources[0].expression, syntax.Name)
            and not sources[0].iterates
        )
        if path is None or len(path) < 2 or not simple or path[0] != sources[0].alias:  # noqa: PLR2004 - alias.x
            raise bad_request(f"The first argument of {call.name} must be a path of the document.")
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


def _everything(node: object) -> Iterator[object]:
    """Yield all nodes, those of subqueries and sources too."""
    yield node
    inner: Iterable[object] = ()
    if isinstance(node, Query):
        inner = syntax.clauses(node)
    elif isinstance(node, syntax.Subquery):
        inner = (node.query,)
    else:
        inner = syntax.children(node)
    for part in inner:
        yield from _everything(part)


def _by_row(scores: Callable[[], dict[int, float]]) -> Evaluate:
    return lambda scope: scores().get(_row(scope), UNDEFINED)


def _row(scope: Scope) -> int:
    row = scope[ROW]
    return row if isinstance(row, int) else 0
