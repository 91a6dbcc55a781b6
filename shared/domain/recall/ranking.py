"""Rank fusion: the results of keyword search and of vector search in one order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.ids import Gen, SessionId, TurnId

# The weights are measured (docs/benchmarks.md).
RRF_CONSTANT = 2  # the usual 60 flattens the ranks: the weaker list would count as much
KEYWORD_WEIGHT, MEANING_WEIGHT = 2.0, 1.0
NEIGHBOUR_WEIGHT = 0.5  # the share of a turn's score that its neighbours get
MIN_SIMILARITY = 0.25  # texts below it are unrelated
MAX_CHANCE_HITS = 1  # keyword hits to keep when nothing is similar: a number, a name, or chance
MAX_FOUND = 40  # results per list

Place = tuple[Gen, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTurn:
    """A turn as search returns it, its text truncated to what a prompt may include.

    `embedding_model` is None without a vector; `similarity` is None unless it was compared.
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
        """Its generation and seq, which identify the turn and its neighbours."""
        return self.gen, self.seq


@dataclass(frozen=True, slots=True)
class Ranked:
    """A turn with its rank, from 1, in each list that contains it, and its neighbours' scores.

    Scores order the results of one search; they are not comparable between searches.
    """

    turn: FoundTurn
    keyword_rank: int | None = None
    meaning_rank: int | None = None
    neighbour_score: float = 0.0

    @property
    def is_hit(self) -> bool:
        """Whether search found the turn itself; otherwise it is only the neighbour of a hit."""
        return self.keyword_rank is not None or self.meaning_rank is not None

    @property
    def own_score(self) -> float:
        """The weighted sum of its reciprocal ranks."""
        score = KEYWORD_WEIGHT / (RRF_CONSTANT + self.keyword_rank) if self.keyword_rank else 0.0
        return score + (
            MEANING_WEIGHT / (RRF_CONSTANT + self.meaning_rank) if self.meaning_rank else 0.0
        )

    @property
    def score(self) -> float:
        """Its own score plus a share of its neighbours'."""
        return self.own_score + NEIGHBOUR_WEIGHT * self.neighbour_score

    @property
    def why(self) -> str:
        """How it was found, in words for people."""
        ways = {"keywords": self.keyword_rank, "meaning": self.meaning_rank}
        return "found by " + ", ".join(f"{way} (rank {rank})" for way, rank in ways.items() if rank)


def rank(by_keywords: Sequence[FoundTurn], by_meaning: Sequence[FoundTurn]) -> tuple[Ranked, ...]:
    """Merge two result lists, each in its own order, into one, best first.

    Drops vector results below MIN_SIMILARITY. If none is left, keyword matches in turns that were
    compared by meaning are probably chance, and only the best one of them stays.
    """
    similar = [turn for turn in by_meaning if (turn.similarity or 0.0) >= MIN_SIMILARITY]
    matching = (
        by_keywords
        if similar
        else _drop_chance_hits(by_keywords, {turn.embedding_model for turn in by_meaning})
    )
    ranked = {
        turn.place: Ranked(turn, keyword_rank=number) for number, turn in enumerate(matching, 1)
    }
    for number, turn in enumerate(similar, 1):
        known = ranked.get(turn.place, Ranked(turn))
        ranked[turn.place] = replace(known, turn=turn, meaning_rank=number)
    return best_first(ranked.values())


def best_first(ranked: Iterable[Ranked]) -> tuple[Ranked, ...]:
    """Sort by score, then hits before neighbours, then newest first."""
    return tuple(
        sorted(ranked, key=lambda one: (one.score, one.is_hit, one.turn.created_at), reverse=True)
    )


def _drop_chance_hits(
    by_keywords: Sequence[FoundTurn], compared: set[str | None]
) -> list[FoundTurn]:
    return [
        turn
        for number, turn in enumerate(by_keywords)
        if number < MAX_CHANCE_HITS
        or turn.embedding_model is None
        or turn.embedding_model not in compared
    ]
