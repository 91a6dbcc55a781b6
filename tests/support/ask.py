"""Questions for the conversation itself, where a test goes below HTTP."""

from typing import Any

from shared.domain.ids import SessionId, TurnId, UserId
from shared.services.questions import Question

ADA = UserId("ada")


def a_question(
    session: str = "s", turn: str = "t", message: str = "Hello", **fields: Any
) -> Question:
    """A plain chat turn."""
    values: dict[str, Any] = {
        "session": SessionId(session),
        "turn_id": TurnId(turn),
        "message": message,
        "results": (),
        "tools": (),
        "instructions": None,
        "agent_id": None,
        "namespace": None,
        "metadata": None,
        "model": None,
        "history_tokens": 8000,
        "memory_tokens": 2000,
    }
    return Question(**(values | fields))
