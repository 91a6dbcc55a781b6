"""Passages: found turns with those around them, as many as fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.domain.ranking import FoundTurn, Place, Ranked

MAX_PASSAGES = 8  # of one turn
NEIGHBOURS = 1  # turns told before and after one that was found
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Passage:
    """A turn that was found, with what was said before and after it, in that order."""

    hit: Ranked
    turns: tuple[FoundTurn, ...]

    @property
    def text(self) -> str:
        """What was said."""
        return "\n".join(turn.text for turn in self.turns)


def surround(hits: Sequence[Ranked], around: Sequence[FoundTurn]) -> tuple[Passage, ...]:
    """Each hit with those of the turns around that stand next to it, in its own session only."""
    known = {turn.place: turn for turn in around}
    return tuple(_surround(hit, known) for hit in hits)


def fit_passages(passages: Sequence[Passage], tokens: int, count: Count) -> tuple[Passage, ...]:
    """The best of these, given best first, within so many tokens; each turn once, in the order they were said.

    A passage that does not fit is cut to the turn that was found; if that does not fit, the next may.
    """
    told: set[Place] = set()
    kept: list[Passage] = []
    for passage in passages:
        if passage.hit.turn.place in told:
            continue
        whole = Passage(passage.hit, tuple(turn for turn in passage.turns if turn.place not in told))
        for fitting in (whole, Passage(passage.hit, (passage.hit.turn,))):
            cost = count(fitting.text)
            if cost <= tokens:
                tokens -= cost
                told |= {turn.place for turn in fitting.turns}
                kept.append(fitting)
                break
    return tuple(sorted(kept, key=lambda passage: (passage.turns[0].created_at, passage.turns[0].seq)))


def _surround(hit: Ranked, known: dict[Place, FoundTurn]) -> Passage:
    gen, seq = hit.turn.place
    places = [(gen, seq + step) for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step]
    beside = [known[place] for place in places if place in known]
    return Passage(hit, tuple(sorted([*beside, hit.turn], key=lambda turn: turn.seq)))
