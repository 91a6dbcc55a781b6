"""Passages: what was found and what stands around it, as much as fits."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from shared.domain.recall.ranking import FoundTurn, Place, Ranked, best_first

NEIGHBOURS = 1  # turns before and after one that was found
MAX_SURROUNDED = (
    8  # of the turns that were found, the best, have theirs read: with more, nothing more fits
)
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Turns said one after the other, in that order; `hit` is the best of those among them that were found."""

    hit: Ranked
    turns: tuple[FoundTurn, ...]

    @property
    def text(self) -> str:
        """What was said."""
        return "\n".join(turn.text for turn in self.turns)


def surround(hits: Iterable[Ranked], around: Iterable[FoundTurn]) -> tuple[Ranked, ...]:
    """Hits, and of the turns around those that stand next to one in its own session: all anew, best first.

    Half of what a turn counts, its neighbours count as well: an answer stands beside its question, and where several
    turns in a row were found, all of them are about it.
    """
    found = {hit.turn.place: hit for hit in hits}
    known = {turn.place: Ranked(turn) for turn in around} | found
    counted = (
        replace(one, nearby=sum(found[beside].own for beside in _beside(place) if beside in found))
        for place, one in known.items()
    )
    return best_first(one for one in counted if one.score)


def fit_excerpts(ranked: Sequence[Ranked], tokens: int, count: Count) -> tuple[Excerpt, ...]:
    """The best of these, given best first, within so many tokens: runs of turns, in the order they were said.

    Each turn is taken whole or, where it does not fit, left out, and the next may fit. One that was not found is told
    only beside one that was.
    """
    told: dict[Place, Ranked] = {}
    for one in ranked:
        touching = [told[place] for place in _beside(one.turn.place) if place in told]
        cost = count("\n" * len(touching) + one.turn.text)
        if cost <= tokens and (one.is_hit or any(other.is_hit for other in touching)):
            tokens -= cost
            told[one.turn.place] = one
    return tuple(_passage([told[place] for place in run]) for run in _runs(told))


def _beside(place: Place) -> tuple[Place, ...]:
    gen, seq = place
    return tuple((gen, seq + step) for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step)


def _runs(told: dict[Place, Ranked]) -> list[list[Place]]:
    """Places without a gap between them, by the time at which each run begins."""
    runs: list[list[Place]] = []
    for gen, seq in sorted(told, key=lambda place: (place[0].value, place[1])):
        if runs and runs[-1][-1] == (gen, seq - 1):
            runs[-1].append((gen, seq))
        else:
            runs.append([(gen, seq)])
    return sorted(runs, key=lambda run: (told[run[0]].turn.created_at, run[0][1]))


def _passage(run: Sequence[Ranked]) -> Excerpt:
    best = best_first(one for one in run if one.is_hit)[0]
    return Excerpt(best, tuple(one.turn for one in run))
