"""Excerpts: recalled turns with their neighbours, as many as fit into the token budget."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from shared.domain.recall.ranking import FoundTurn, Place, Ranked, best_first

NEIGHBOURS = 1  # turns before and after a hit
MAX_EXPANDED_HITS = 8  # only the best hits get neighbours: more than that never fit the budget
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Consecutive turns of one session, in order; `hit` is the best-ranked one among them."""

    hit: Ranked
    turns: tuple[FoundTurn, ...]

    @property
    def text(self) -> str:
        """The texts of the turns, one after the other."""
        return "\n".join(turn.text for turn in self.turns)


def add_neighbours(hits: Iterable[Ranked], around: Iterable[FoundTurn]) -> tuple[Ranked, ...]:
    """Rank hits and the turns around them together, best first.

    A turn adds half of its own score to each neighbour in its session: an answer follows its
    question, and several hits in a row are usually all relevant. Turns of `around` that are not
    next to a hit are dropped.
    """
    found = {hit.turn.place: hit for hit in hits}
    known = {turn.place: Ranked(turn) for turn in around} | found
    scored = (
        replace(one, neighbour_score=_sum_scores(found, _neighbours(place)))
        for place, one in known.items()
    )
    return best_first(one for one in scored if one.score)


def fit_excerpts(ranked: Sequence[Ranked], tokens: int, count: Count) -> tuple[Excerpt, ...]:
    """The best of these turns that fit into `tokens`, as excerpts, oldest first.

    `ranked` is sorted, best first. A turn that does not fit is left out whole, and the next one
    is tried. A turn that is not a hit is included only next to a hit.
    """
    included: dict[Place, Ranked] = {}
    for one in ranked:
        adjacent = [included[place] for place in _neighbours(one.turn.place) if place in included]
        cost = count("\n" * len(adjacent) + one.turn.text)
        if cost <= tokens and (one.is_hit or any(other.is_hit for other in adjacent)):
            tokens -= cost
            included[one.turn.place] = one
    return tuple(_excerpt([included[place] for place in run]) for run in _runs(included))


def _neighbours(place: Place) -> tuple[Place, ...]:
    gen, seq = place
    return tuple((gen, seq + step) for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step)


def _sum_scores(found: dict[Place, Ranked], places: Iterable[Place]) -> float:
    return sum(found[place].own_score for place in places if place in found)


def _runs(included: dict[Place, Ranked]) -> list[list[Place]]:
    """Runs of places without a gap, sorted by when each run starts."""
    runs: list[list[Place]] = []
    for gen, seq in sorted(included, key=lambda place: (place[0].value, place[1])):
        if runs and runs[-1][-1] == (gen, seq - 1):
            runs[-1].append((gen, seq))
        else:
            runs.append([(gen, seq)])
    return sorted(runs, key=lambda run: (included[run[0]].turn.created_at, run[0][1]))


def _excerpt(run: Sequence[Ranked]) -> Excerpt:
    best = best_first(one for one in run if one.is_hit)[0]
    return Excerpt(best, tuple(one.turn for one in run))
