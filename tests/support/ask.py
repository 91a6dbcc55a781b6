"""Requests to the chat service, for tests below HTTP."""

from typing import Any

from shared.domain.ids import SessionId, TurnId, UserId
from shared.services.turns import ChatRequest

ADA = UserId("ada")


def a_chat_request(
    session: str = "s", turn: str = "t", message: str = "Hello", **fields: Any
) -> ChatRequest:
    """A plain chat turn of Ada."""
    values: dict[str, Any] = {
        "user": ADA,
        "session": SessionId(session),
        "turn_id": TurnId(turn),
        "message": message,
        "history_tokens": 8000,
        "memory_tokens": 2000,
    }
    return ChatRequest(**(values | fields))
