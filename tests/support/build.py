"""Builders of valid domain objects: a test names only what matters to it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.messages import FunctionCall, Message, ToolCall
from shared.domain.recall.ranking import FoundTurn
from shared.domain.sessions import Header
from shared.domain.turns import TokenUsage, Turn, TurnStatus

NOON = datetime(2026, 5, 8, 12, tzinfo=UTC)
GEN = Gen("0" * 32)
ADA = UserId("ada")
SESSION = SessionId("s")


def a_message(content: str = "Hello", **fields: Any) -> Message:
    """A user's message."""
    return Message(**({"role": "user", "content": content, "at": NOON} | fields))


def a_call(call_id: str = "c1") -> Message:
    """An assistant's message that only calls a tool."""
    call = ToolCall(id=call_id, function=FunctionCall(name="look_up", arguments="{}"))
    return a_message("", role="assistant", tool_calls=(call,))


def a_result(call_id: str = "c1") -> Message:
    """A tool's result."""
    return a_message("42", role="tool", tool_call_id=call_id)


def a_turn(seq: int = 1, text: str = "Hello", **fields: Any) -> Turn:
    """A committed turn with a reply."""
    values: dict[str, Any] = {
        "session_id": SESSION,
        "gen": GEN,
        "epoch": 0,
        "turn_id": TurnId(f"turn-{seq}"),
        "seq": seq,
        "saw_seq": seq - 1,
        "body_hash": "hash",
        "status": TurnStatus.DONE,
        "messages": (a_message(text), a_message(f"You said {text}", role="assistant")),
        "finish_reason": "stop",
        "usage": TokenUsage(),
        "text": text,
        "created_at": NOON,
        "expires_at": NOON + timedelta(days=90),
    }
    return Turn(**(values | fields))


def a_header(**fields: Any) -> Header:
    """The header of a session with one turn."""
    values: dict[str, Any] = {
        "session_id": SESSION,
        "gen": GEN,
        "epoch": 0,
        "turn_count": 1,
        "consolidated_seq": 0,
        "created_at": NOON,
        "last_active_at": NOON,
        "expires_at": NOON + timedelta(days=90),
        "etag": "0",
    }
    return Header(**(values | fields))


def a_found(seq: int = 1, **fields: Any) -> FoundTurn:
    """A turn as a search finds it."""
    values: dict[str, Any] = {
        "session_id": SESSION,
        "gen": GEN,
        "epoch": 0,
        "turn_id": TurnId(f"turn-{seq}"),
        "seq": seq,
        "text": f"turn {seq}",
        "created_at": NOON + timedelta(minutes=seq),
        "expires_at": NOON + timedelta(days=90),
    }
    return FoundTurn(**(values | fields))
