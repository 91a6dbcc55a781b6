"""What a caller asks in one turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from shared.domain.ids import SessionId, TurnId
from shared.domain.turns import Message, body_hash
from shared.services.openings import Asked


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered to a call of the turn before."""

    tool_call_id: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A chat turn as the caller sent it: a message, or the results of the tools the turn before asked for."""

    session: SessionId
    turn_id: TurnId
    message: str | None
    results: Sequence[ToolResult]
    tools: Sequence[Mapping[str, JsonValue]]
    instructions: str | None
    agent_id: str | None
    namespace: str | None
    metadata: Mapping[str, JsonValue] | None
    model: str | None
    history_tokens: int
    memory_tokens: int  # of preferences, summaries and what is recalled; 0: nothing is recalled

    def asked(self, seconds: float) -> Asked:
        """What identifies the turn; model, tools and budgets are not part of it, so a resend may change them."""
        content: dict[str, JsonValue] = {
            "message": self.message,
            "results": [[result.tool_call_id, result.content] for result in self.results] or None,
            "instructions": self.instructions,
            "agent_id": self.agent_id,
            "namespace": self.namespace,
            "metadata": dict(self.metadata) if self.metadata else None,
        }
        return Asked(self.session, self.turn_id, body_hash(content), seconds, self.agent_id)

    def said(self, at: datetime) -> list[Message]:
        """The messages of this turn so far."""
        results = [
            Message(role="tool", content=r.content, tool_call_id=r.tool_call_id, at=at)
            for r in self.results
        ]
        return (
            results
            if self.message is None
            else [*results, Message(role="user", content=self.message, at=at)]
        )
