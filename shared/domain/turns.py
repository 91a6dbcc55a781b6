"""A turn: the user's message and everything up to the final reply, stored once, never changed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

from shared.domain.ids import Gen, SessionId, TurnId
from shared.domain.messages import MAX_MESSAGE_BYTES, Message, Stored, ToolCall

MAX_TURN_BYTES = 262_144  # far below the 2 MB of a Cosmos DB item, so no document can come near it
MAX_REPLY_BYTES = MAX_TURN_BYTES - 2 * MAX_MESSAGE_BYTES  # leaves room for the question and escapes


class TurnStatus(StrEnum):
    """How a turn ended."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"


class TokenUsage(Stored):
    """Tokens that the model counted for a turn."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One committed turn. The document of one (gen, seq) is immutable.

    `saw_seq` is the newest turn in the window that the model saw. `attempt` names the request that
    committed it. `text` is what recall searches;
    None for a turn that must not be found (refused, or with memory switched off).
    """

    session_id: SessionId
    gen: Gen
    epoch: int
    turn_id: TurnId
    seq: int
    saw_seq: int
    body_hash: str
    status: TurnStatus
    messages: tuple[Message, ...]
    finish_reason: str | None
    usage: TokenUsage
    text: str | None
    created_at: datetime
    expires_at: datetime
    attempt: str = ""

    @property
    def reply(self) -> str:
        """The final assistant text; empty if the turn was refused."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), "")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that its reply asks for."""
        return next((m.tool_calls for m in reversed(self.messages) if m.role == "assistant"), ())

    @property
    def size(self) -> int:
        """Size of its messages in bytes."""
        return sum(message.size for message in self.messages)


def body_hash(body: Mapping[str, JsonValue]) -> str:
    """Digest of the fields that make a resend the same turn.

    Absent and null fields count alike, and the order of the keys does not matter.
    """
    given = {key: value for key, value in body.items() if value is not None}
    canonical = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
