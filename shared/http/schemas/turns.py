"""Turns on the wire: as they are stored, or answered elsewhere."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field

from shared.domain.turns import Message, ToolCall, Turn, TurnStatus
from shared.http.schemas.fields import Closed, Instant, LongText, Name

MAX_MESSAGES = 100  # of one recorded turn
MAX_TOOL_CALLS = 128  # as a chat turn's tools


class FunctionCallBody(Closed):
    """The function a model asked for, with its arguments as JSON text."""

    name: Name
    arguments: LongText


class ToolCallBody(Closed):
    """One tool call of an assistant message."""

    id: Name
    type: Literal["function"] = "function"
    function: FunctionCallBody


class MessageBody(Closed):
    """A message of a turn that was answered elsewhere."""

    role: Literal["system", "user", "assistant", "tool"]
    content: LongText = ""
    name: Name | None = None
    tool_calls: Annotated[tuple[ToolCallBody, ...], Field(max_length=MAX_TOOL_CALLS)] = ()
    tool_call_id: Name | None = None
    at: Instant | None = None

    def to_message(self, at: datetime) -> Message:
        """The message, said at its own time or else at this one."""
        return Message(**self.model_dump(exclude={"at"}), at=self.at or at)


class TurnBody(Closed):
    """A turn that was answered elsewhere; `at` in the past for imports."""

    messages: Annotated[tuple[MessageBody, ...], Field(min_length=1, max_length=MAX_MESSAGES)]
    at: Instant | None = None


class SentMessage(BaseModel):
    """One role's text, or an assistant's tool calls, or a tool's result, as chat models take it."""

    role: str
    content: str
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    @classmethod
    def of(cls, message: Message, **more: Any) -> Self:
        """The message on the wire."""
        return cls(
            role=message.role,
            content=message.content,
            name=message.name,
            tool_calls=list(message.tool_calls) or None,
            tool_call_id=message.tool_call_id,
            **more,
        )


class MessageView(SentMessage):
    """A message of the transcript."""

    at: datetime


class TurnView(BaseModel):
    """One stored turn."""

    turn_id: str
    seq: int
    messages: list[MessageView]
    status: TurnStatus
    created_at: datetime

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """The turn on the wire."""
        return cls(
            turn_id=turn.turn_id.value,
            seq=turn.seq,
            messages=[MessageView.of(message, at=message.at) for message in turn.messages],
            status=turn.status,
            created_at=turn.created_at,
        )


class TurnPage(BaseModel):
    """Turns in order; `next_link` while there may be more."""

    value: Sequence[TurnView]
    next_link: str | None = None
