"""A turn: the user's message and everything until the final reply, stored once and never changed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter

from shared.domain.ids import Gen, SessionId, TurnId
from shared.domain.summaries import Summary

MAX_MESSAGE_BYTES = 32_768  # a long page of text; ten of them are a turn
MAX_TURN_BYTES = (
    262_144  # far below the 2 MB of a Cosmos item, so that no document can come near it
)
MAX_WINDOW_TURNS = 20  # every turn reads the window
MAX_WINDOW_BYTES = 65_536  # 20 turns of 3 KB; older ones stay in the transcript
MAX_REPLY_BYTES = (
    MAX_TURN_BYTES - 2 * MAX_MESSAGE_BYTES
)  # what a model may add to a turn, with room to escape

MAX_ASKED_CHARS_SEARCHED = 4000  # a pasted document is found by its beginning
REPLY_BEGINS = "\nassistant: "
MAX_REPLY_CHARS_SEARCHED = 500  # more of an answer drowns the question it belongs to


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class FunctionCall(_Frozen):
    """The function a model asks for; its arguments are JSON text, as the model wrote them."""

    name: str
    arguments: str


class ToolCall(_Frozen):
    """One tool call of an assistant message."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class Message(_Frozen):
    """One role's text, or an assistant's tool calls, or a tool's result."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    at: datetime

    @property
    def texts(self) -> tuple[str, ...]:
        """All that counts against a budget: content, names and tool calls."""
        calls = (
            f"{call.id}{call.function.name}{call.function.arguments}" for call in self.tool_calls
        )
        return (self.content, self.name or "", self.tool_call_id or "", *calls)

    @property
    def size(self) -> int:
        """Bytes of UTF-8 of its texts."""
        return sum(len(text.encode()) for text in self.texts)


class TurnStatus(StrEnum):
    """How a turn ended."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    REFUSED = "refused"


class TokenUsage(_Frozen):
    """Tokens the model counted for a turn."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One committed turn. A document of one (gen, seq) is immutable."""

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

    @property
    def reply(self) -> str:
        """The final assistant text; empty when the turn was refused."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), "")

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools its reply asks for."""
        return next((m.tool_calls for m in reversed(self.messages) if m.role == "assistant"), ())

    @property
    def size(self) -> int:
        """Bytes of its messages."""
        return sum(message.size for message in self.messages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What is known of one incarnation of a session without reading its turns; `etag` is the store's version.

    It is consolidated when `due_at` is past. After `attempts` that failed in a row it may be parked, with the reason.
    From `vectors_from` on turns may lack the vectors that consolidation should have given them.
    """

    session_id: SessionId
    gen: Gen
    epoch: int
    turn_count: int
    consolidated_seq: int
    title: str | None = None
    agent_id: str | None = None
    strategy: str | None = None
    summary: Summary | None = None
    ttl_seconds: int | None = None
    created_at: datetime
    last_active_at: datetime
    expires_at: datetime | None
    due_at: datetime | None = None
    attempts: int = 0
    parked: str | None = None
    vectors_from: int | None = None
    etag: str

    @property
    def shown_title(self) -> str | None:
        """The user's title, else the summary's."""
        return self.title or (self.summary.title if self.summary else None)


def body_hash(body: Mapping[str, JsonValue]) -> str:
    """Digest of what makes a resend the same: absent and null fields count alike, the order of keys does not."""
    given = {key: value for key, value in body.items() if value is not None}
    canonical = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def stored_size(messages: Sequence[Message]) -> int:
    """Bytes the messages take as JSON, names, calls and escapes included: what counts against a turn's limit."""
    return len(_message_list().dump_json(list(messages), exclude_defaults=True))


def search_text(messages: Sequence[Message]) -> str:
    """The text a turn is found by: what was asked, then the beginning of the reply."""
    reply = next((m.content for m in reversed(messages) if m.role == "assistant"), "")
    said = asked_text(messages)
    return f"{said}{REPLY_BEGINS}{reply[:MAX_REPLY_CHARS_SEARCHED]}" if reply else said


def asked_text(messages: Sequence[Message]) -> str:
    """What was asked, with date and speaker: the part of the text a turn is found by that has the turn's vector."""
    asked = next((m for m in messages if m.role == "user"), messages[0])
    return f"[{asked.at.day} {asked.at:%B %Y}] {asked.name or asked.role}: {asked.content[:MAX_ASKED_CHARS_SEARCHED]}"


def newest_run(turns: Sequence[Turn], *, upto: int) -> tuple[Turn, ...]:
    """The longest unbroken run of turns that ends at `upto`, oldest first; empty when that turn is missing.

    Turns below a gap are left out: they expired earlier than what came after them (ADR 7).
    """
    by_seq = {turn.seq: turn for turn in turns}
    run: list[Turn] = []
    while turn := by_seq.get(upto - len(run)):
        run.append(turn)
    return tuple(reversed(run))


def fit_window(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The newest of these turns within 20 turns and 64 KB, oldest first, but always the newest."""
    kept: list[Turn] = []
    size = 0
    for turn in reversed(turns[-MAX_WINDOW_TURNS:]):
        size += turn.size
        if kept and size > MAX_WINDOW_BYTES:
            break
        kept.append(turn)
    return tuple(reversed(kept))


@cache
def _message_list() -> TypeAdapter[list[Message]]:
    return TypeAdapter(list[Message])
