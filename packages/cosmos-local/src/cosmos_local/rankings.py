"""Rows by score: which come first, and what each one scored."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cosmos_local.values import UNDEFINED, Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONSTANT = 60  # of reciprocal rank fusion, in the service and in the SDKs
_BLOCK = 512  # as many of the best rows are sorted at first


class Ranking(Protocol):
    """Scores of rows."""

    def best_first(self) -> Iterator[int]:
        """Yield the rows that have a score, by falling score; equal ones in order of creation."""

    def get(self, row: int) -> Value:
        """Return a row's score as the query sees it, or undefined."""

    def scores(self) -> Mapping[int, float]:
        """Return all scores, the higher the better."""


@dataclass(frozen=True)
class Scored:
    """A ranking of few rows; `rest` scored nothing, and follow in order of creation."""

    found: Mapping[int, float]
    rest: frozenset[int] = field(default_factory=frozenset)

    def best_first(self) -> Iterator[int]:
        """Yield the rows that scored, then the others."""
        heap = [(-score, row) for row, score in self.found.items()]
        heapq.heapify(heap)  # cheaper than sorting all when only the best few are asked for
        while heap:
            yield heapq.heappop(heap)[1]
        yield from sorted(self.rest - self.found.keys())

    def get(self, row: int) -> Value:
        """Return a row's score."""
        return self.found.get(row, 0.0 if row in self.rest else UNDEFINED)

    def scores(self) -> Mapping[int, float]:
        """Return all scores."""
        return dict.fromkeys(self.rest, 0.0) | dict(self.found)


@dataclass(frozen=True)
class Distances:
    """A ranking of many rows by similarity, or by distance: then the smallest are the best."""

    rows: NDArray[np.int64]
    values: NDArray[np.float32]
    smallest_first: bool

    def best_first(self) -> Iterator[int]:
        """Yield the rows block by block, so that the best few need no sorting of all."""
        import numpy as np  # noqa: PLC0415 - only vector queries pay for it

        worth = -self.values if not self.smallest_first else self.values
        left = np.arange(len(worth))
        size = _BLOCK
        while len(left):
            if len(left) > size:
                bound = np.partition(worth[left], size)[size]
                chosen = worth[left] <= bound
            else:
                chosen = np.ones(len(left), dtype=bool)
            block = left[chosen]
            order = np.lexsort((self.rows[block], worth[block]))
            yield from self.rows[block[order]].tolist()
            left, size = left[~chosen], size * 8

    def get(self, row: int) -> Value:
        """Return a row's similarity or distance; rows are in the order of their numbers."""
        place = int(self.rows.searchsorted(row))
        if place < len(self.rows) and int(self.rows[place]) == row:
            return float(self.values[place])
        return UNDEFINED

    def scores(self) -> Mapping[int, float]:
        """Return all scores."""
        worth = -self.values if self.smallest_first else self.values
        return dict(zip(self.rows.tolist(), worth.tolist(), strict=True))


@dataclass(frozen=True)
class Together:
    """The rankings of several partitions as one."""

    parts: tuple[Ranking, ...]

    def best_first(self) -> Iterator[int]:
        """Yield the rows of all parts."""
        scores = self.scores()
        return iter(sorted(scores, key=lambda row: (-scores[row], row)))

    def get(self, row: int) -> Value:
        """Return a row's score in whichever part has it."""
        found = (part.get(row) for part in self.parts)
        return next((value for value in found if value is not UNDEFINED), UNDEFINED)

    def scores(self) -> Mapping[int, float]:
        """Return all scores."""
        return {row: score for part in self.parts for row, score in part.scores().items()}


def together(parts: list[Ranking]) -> Ranking:
    """Return one ranking of the parts."""
    return parts[0] if len(parts) == 1 else Together(tuple(parts))


def fuse(components: list[Ranking], weights: list[float]) -> Ranking:
    """Add up reciprocal ranks; a row without a score in a component ranks after all that have one.

    A negative weight reverses its component: the lowest scores rank first, and count positively.
    """
    scored = [component.scores() for component in components]
    rows = sorted(set().union(*scored)) if scored else []
    fused = dict.fromkeys(rows, 0.0)
    for scores, weight in zip(scored, weights, strict=True):
        for row, rank in _ranks(rows, scores, reverse=weight < 0).items():
            fused[row] += abs(weight) / (CONSTANT + rank)
    return Scored(fused)


def _ranks(rows: list[int], scores: Mapping[int, float], *, reverse: bool) -> dict[int, int]:
    """Rank from 1; equal scores share a rank."""
    worst = float("-inf")
    keyed = {
        row: (-scores[row] if reverse else scores[row]) if row in scores else worst for row in rows
    }
    ranks: dict[int, int] = {}
    rank, before = 0, None
    for row in sorted(rows, key=lambda row: -keyed[row]):
        if keyed[row] != before:
            rank, before = rank + 1, keyed[row]
        ranks[row] = rank
    return ranks
