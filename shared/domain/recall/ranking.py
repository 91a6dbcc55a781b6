"""Ranking: turns found in several ways, put in one order. Pure; the weights are measured (docs/benchmarks.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.ids import Gen, SessionId, TurnId

RRF_CONSTANT = (
    2  # the usual 60 makes all ranks alike: then the weaker list counts as much as the better one
)
WORDS_WEIGHT, MEANING_WEIGHT = 2.0, 1.0
NEARBY_WEIGHT = 0.5  # of a turn's score, for those right before and after it
MIN_SIMILARITY = 0.25  # below it texts have nothing to do with each other
MAX_BY_CHANCE = 1  # found by words when nothing means the like: a number or a name, or chance
MAX_FOUND = 40  # of each list

Place = tuple[Gen, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTurn:
    """A turn as it is found: where it stands, and the text it is found by, cut to what is told of it.

    `embedding_model` made its vector, if it has one; `similarity` is there where that was compared.
    """

    session_id: SessionId
    gen: Gen
    epoch: int
    turn_id: TurnId
    seq: int
    text: str
    created_at: datetime
    expires_at: datetime
    embedding_model: str | None = None
    similarity: float | None = None

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.gen, self.seq


@dataclass(frozen=True, slots=True)
class Ranked:
    """A turn with its ranks, from 1, in the lists it is on; `nearby` is what the turns next to it count together.

    Scores are good for an order, not for comparing two searches.
    """

    turn: FoundTurn
    words_rank: int | None = None
    meaning_rank: int | None = None
    nearby: float = 0.0

    @property
    def is_hit(self) -> bool:
        """Whether it was found, and does not only stand beside one that was."""
        return self.words_rank is not None or self.meaning_rank is not None

    @property
    def own(self) -> float:
        """Reciprocal ranks, weighed and added up."""
        score = WORDS_WEIGHT / (RRF_CONSTANT + self.words_rank) if self.words_rank else 0.0
        return score + (
            MEANING_WEIGHT / (RRF_CONSTANT + self.meaning_rank) if self.meaning_rank else 0.0
        )

    @property
    def score(self) -> float:
        """Its own, and a share of its neighbours'."""
        return self.own + NEARBY_WEIGHT * self.nearby

    @property
    def why(self) -> str:
        """How it was found, for people."""
        ways = {"words": self.words_rank, "meaning": self.meaning_rank}
        return "found by " + ", ".join(f"{way} (rank {rank})" for way, rank in ways.items() if rank)


def rank(by_words: Sequence[FoundTurn], by_meaning: Sequence[FoundTurn]) -> tuple[Ranked, ...]:
    """What two searches found, best first. Each list comes in its own order.

    What only seems to mean the same is left out. Where meaning was searched for and nothing comes near, the words of
    turns that it was compared with are the same by chance: of them only the best stays.
    """
    alike = [turn for turn in by_meaning if (turn.similarity or 0.0) >= MIN_SIMILARITY]
    named = (
        by_words
        if alike
        else _leave_out_chance(by_words, {turn.embedding_model for turn in by_meaning})
    )
    ranked = {turn.place: Ranked(turn, words_rank=number) for number, turn in enumerate(named, 1)}
    for number, turn in enumerate(alike, 1):
        known = ranked.get(turn.place, Ranked(turn))
        ranked[turn.place] = replace(known, turn=turn, meaning_rank=number)
    return best_first(ranked.values())


def best_first(ranked: Iterable[Ranked]) -> tuple[Ranked, ...]:
    """By score; of equal ones what was found comes before what stands beside it, and the newer before the older."""
    return tuple(
        sorted(ranked, key=lambda one: (one.score, one.is_hit, one.turn.created_at), reverse=True)
    )


def _leave_out_chance(by_words: Sequence[FoundTurn], compared: set[str | None]) -> list[FoundTurn]:
    return [
        turn
        for number, turn in enumerate(by_words)
        if number < MAX_BY_CHANCE
        or turn.embedding_model is None
        or turn.embedding_model not in compared
    ]
