"""The answer to a chat turn: the stored turn, and how the request went."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.errors import ContentFiltered
from shared.domain.prompt import ContextEntry
from shared.domain.turns import Turn, TurnStatus
from shared.services.turns.attempt import TurnAttempt
from shared.services.turns.stored_turn import StoredTurn
from shared.telemetry.metrics import count_turn


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored turn, the context of its model, and how the request went."""

    turn: Turn
    replayed: bool
    context: Sequence[ContextEntry]
    degraded: Sequence[str]
    timings: dict[str, float]


def answer(
    stored: StoredTurn,
    attempt: TurnAttempt,
    degraded: set[str] | None = None,
    context: Sequence[ContextEntry] = (),
) -> Answer:
    """The answer with this stored turn.

    Raises:
        ContentFiltered: it is stored as refused.
    """
    turn = counted(stored, degraded or set()).turn
    if turn.status is TurnStatus.REFUSED:
        raise ContentFiltered(
            "The model's provider refused this message or the reply to it, not what is stored; the "
            "turn is stored as refused: rephrase it in a new turn"
        )
    timings = attempt.timings.stages
    return Answer(turn, stored.replayed, context, sorted(degraded or ()), timings)


def counted(stored: StoredTurn, degraded: set[str]) -> StoredTurn:
    """Count the stored turn for telemetry."""
    count_turn(stored.turn.status.value, sorted(degraded), replayed=stored.replayed)
    return stored
