"""Reciprocal rank fusion, as the service and the SDKs do it."""

from __future__ import annotations

CONSTANT = 60


def fuse(components: list[dict[int, float]], weights: list[float]) -> dict[int, float]:
    """Return each row's fused score; a row without a score in a component ranks after all that have one.

    A negative weight turns its component around: the lowest scores rank first, and count positively.
    """
    rows = sorted(set().union(*components)) if components else []
    fused = dict.fromkeys(rows, 0.0)
    for scores, weight in zip(components, weights, strict=True):
        for row, rank in _ranks(rows, scores, turned=weight < 0).items():
            fused[row] += abs(weight) / (CONSTANT + rank)
    return fused


def _ranks(rows: list[int], scores: dict[int, float], *, turned: bool) -> dict[int, int]:
    """Rank from 1; equal scores share a rank."""
    worst = float("-inf")
    keyed = {
        row: (-scores[row] if turned else scores[row]) if row in scores else worst for row in rows
    }
    ranks: dict[int, int] = {}
    rank, before = 0, None
    for row in sorted(rows, key=lambda row: -keyed[row]):
        if keyed[row] != before:
            rank, before = rank + 1, keyed[row]
        ranks[row] = rank
    return ranks
