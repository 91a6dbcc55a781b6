"""What a caller asks for: a chat turn, or a turn to record."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRequest:
    """A turn of a session, as its caller sent it."""

    user: UserId
    session: SessionId
    turn_id: TurnId
    agent_id: str | None = None

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, JsonValue]:
        """The fields that make a resend the same turn."""

    @abstractmethod
    def messages(self, at: datetime) -> Sequence[Message]:
        """The messages that the caller contributes to the turn."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call that the previous turn made."""

    tool_call_id: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(TurnRequest):
    """A message, or the results of the tools that the previous turn called, or both.

    `memory_tokens` is the budget for preferences, summaries and recall; 0 turns recall off.
    """

    message: str | None
    history_tokens: int
    memory_tokens: int
    results: Sequence[ToolResult] = ()
    tools: Sequence[Mapping[str, JsonValue]] = ()
    instructions: str | None = None
    model: str | None = None

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """Everything but model, tools and budgets, which a resend may change."""
        return {
            "message": self.message,
            "results": [[result.tool_call_id, result.content] for result in self.results] or None,
            "instructions": self.instructions,
            "agent_id": self.agent_id,
        }

    def messages(self, at: datetime) -> Sequence[Message]:
        """The tool results, then the message."""
        results = [
            Message(role="tool", content=result.content, tool_call_id=result.tool_call_id, at=at)
            for result in self.results
        ]
        if self.message is None:
            return results
        return [*results, Message(role="user", content=self.message, at=at)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRequest(TurnRequest):
    """A turn that was answered elsewhere; `body` is what the caller sent."""

    body: Mapping[str, JsonValue]
    recorded: Sequence[Message]

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """The whole body."""
        return self.body

    def messages(self, at: datetime) -> Sequence[Message]:  # noqa: ARG002 - each has its own time
        """The recorded messages."""
        return self.recorded
