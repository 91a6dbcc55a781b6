"""Ranking: turns found in several ways, put in one order. Pure; the weights are measured (docs/benchmarks.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.ids import Gen, SessionId, TurnId

RRF_CONSTANT = 10  # the usual 60 makes all ranks alike: then the weaker list counts as much as the better one
WORDS_WEIGHT, MEANING_WEIGHT = 2.0, 1.0
MIN_SIMILARITY = 0.25  # below it texts have nothing to do with each other
MAX_FOUND = 40  # of each list

Place = tuple[Gen, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTurn:
    """A turn as it is found: where it stands, and the text it is found by, cut to what is told of it."""

    session_id: SessionId
    gen: Gen
    epoch: int
    turn_id: TurnId
    seq: int
    text: str
    created_at: datetime
    expires_at: datetime
    similarity: float | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.gen, self.seq


@dataclass(frozen=True, slots=True)
class Ranked:
    """A found turn with its ranks, from 1, in the lists it is on; `similarity` is the cosine, if meaning found it."""

    turn: FoundTurn
    words_rank: int | None = None
    meaning_rank: int | None = None

    @property
    def score(self) -> float:
        """Reciprocal ranks, weighed and added up: good for an order, not for comparing two searches."""
        score = WORDS_WEIGHT / (RRF_CONSTANT + self.words_rank) if self.words_rank else 0.0
        return score + (MEANING_WEIGHT / (RRF_CONSTANT + self.meaning_rank) if self.meaning_rank else 0.0)

    @property
    def why(self) -> str:
        """How it was found, for people."""
        ways = {"words": self.words_rank, "meaning": self.meaning_rank}
        return "found by " + ", ".join(f"{way} (rank {rank})" for way, rank in ways.items() if rank)


def rank(by_words: Sequence[FoundTurn], by_meaning: Sequence[FoundTurn]) -> tuple[Ranked, ...]:
    """What two searches found, best first; equal ones the newer first. Each list comes in its own order.

    What only seems to mean the same is left out.
    """
    ranked = {turn.place: Ranked(turn, words_rank=number) for number, turn in enumerate(by_words, 1)}
    alike = [turn for turn in by_meaning if (turn.similarity or 0.0) >= MIN_SIMILARITY]
    for number, turn in enumerate(alike, 1):
        known = ranked.get(turn.place, Ranked(turn))
        ranked[turn.place] = replace(known, turn=turn, meaning_rank=number)
    return tuple(sorted(ranked.values(), key=lambda one: (one.score, one.turn.created_at), reverse=True))
