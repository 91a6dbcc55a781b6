"""The shapes on the wire: snake_case, closed, every string bounded."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    Strict,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from shared.domain.context import ContextEntry
from shared.domain.ids import MAX_ID_BYTES
from shared.domain.preferences import Preferences
from shared.domain.sessions import Strategy
from shared.domain.turns import MAX_MESSAGE_BYTES, Header, Message, ToolCall, Turn, TurnStatus
from shared.metering import Meter
from shared.ports.usage import Used
from shared.ports.values import SessionValue
from shared.services.turn_stream import Answer
from shared.services.usage import UserUsage

MAX_INSTRUCTIONS_BYTES = 16_384
MAX_METADATA_BYTES = 16_384
MAX_NAME_CHARS = 200
MAX_MESSAGES = 100  # of one recorded turn
MAX_TOOLS = MAX_TOOL_CALLS = 128  # what the chat API itself allows
MAX_TOOL_RESULTS = 16  # of one turn
MAX_RESULTS_BYTES = 65_536
MAX_TOOLS_BYTES = 65_536
MAX_PAGE = 100
RFC_3339 = re.compile(r"[1-9]\d{3}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Closed(BaseModel):
    """A request: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _bounded(limit: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text.encode()) > limit:
            raise PydanticCustomError("too_large", "May have {limit} bytes of UTF-8", {"limit": limit})
        return text

    return AfterValidator(check)


def _small(values: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    if sum(len(str(key).encode()) + len(str(value).encode()) for key, value in values.items()) > MAX_METADATA_BYTES:
        raise PydanticCustomError("too_large", "May have {limit} bytes", {"limit": MAX_METADATA_BYTES})
    return values


def _small_tools(tools: tuple[dict[str, JsonValue], ...]) -> tuple[dict[str, JsonValue], ...]:
    if len(json.dumps(tools, ensure_ascii=False).encode()) > MAX_TOOLS_BYTES:
        raise PydanticCustomError("too_large", "May have {limit} bytes", {"limit": MAX_TOOLS_BYTES})
    return tools


def _only_text(at: object) -> object:
    if not isinstance(at, str) or not RFC_3339.fullmatch(at):
        raise PydanticCustomError("datetime", "Write times as RFC 3339 with an offset: 2026-11-21T09:30:00Z")
    return at


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as outside:
        raise PydanticCustomError("datetime", "In UTC this is after the year 9999") from outside


MessageText = Annotated[
    str, _bounded(MAX_MESSAGE_BYTES), Field(min_length=1, json_schema_extra={"maxLength": MAX_MESSAGE_BYTES})
]
LongText = Annotated[str, _bounded(MAX_MESSAGE_BYTES), Field(json_schema_extra={"maxLength": MAX_MESSAGE_BYTES})]
Instructions = Annotated[
    str, _bounded(MAX_INSTRUCTIONS_BYTES), Field(json_schema_extra={"maxLength": MAX_INSTRUCTIONS_BYTES})
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
ID_SCHEMA: dict[str, JsonValue] = {"minLength": 1, "maxLength": MAX_ID_BYTES, "pattern": r"^[^/\\?#]+$"}
IdText = Annotated[str, Field(json_schema_extra=ID_SCHEMA)]  # its rule is in domain/ids.py, which also names it
SessionIdText = Annotated[str, Path(json_schema_extra=ID_SCHEMA, description="The caller's name for the session")]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]  # "7" and true are no numbers
Instant = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_in_utc)]
Metadata = Annotated[Mapping[str, JsonValue], AfterValidator(_small)]


class ToolResultBody(Closed):
    """What a tool answered."""

    role: Literal["tool"] = "tool"
    tool_call_id: Name
    content: LongText


class ChatBody(Closed):
    """One chat turn. `turn_id` makes it safe to send twice; without one each send is a new turn.

    A turn is a `message`, or in `messages` the results of the tools that the turn before asked for, or both.
    """

    message: MessageText | None = None
    messages: Annotated[tuple[ToolResultBody, ...], Field(max_length=MAX_TOOL_RESULTS)] = ()
    tools: Annotated[tuple[dict[str, JsonValue], ...], Field(max_length=MAX_TOOLS), AfterValidator(_small_tools)] = ()
    session_id: IdText | None = None
    turn_id: IdText | None = None
    agent_id: Name | None = None
    namespace: Name | None = None
    instructions: Instructions | None = None
    model: Name | None = None
    stream: Flag = False
    history_tokens: Annotated[Whole, Field(ge=0, le=200_000)] | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _check_said(self) -> Self:
        if self.message is None and not self.messages:
            raise PydanticCustomError("missing", "Send a message, or the results of tools in messages")
        if sum(len(result.content.encode()) for result in self.messages) > MAX_RESULTS_BYTES:
            raise PydanticCustomError("too_large", "Results may have {limit} bytes", {"limit": MAX_RESULTS_BYTES})
        return self


class ContextView(BaseModel):
    """One thing the model was given, and why."""

    section: str
    id: str | None = None
    text: str | None = None
    score: float | None = None
    why: str | None = None

    @classmethod
    def of(cls, entry: ContextEntry) -> Self:
        """The entry on the wire."""
        return cls(section=entry.section, id=entry.id, text=entry.text, score=entry.score, why=entry.why)


class UsageView(BaseModel):
    """What the request used: tokens as the model counted them, calls as they left the process."""

    prompt_tokens: int
    completion_tokens: int
    request_units: float
    cosmos_calls: int
    redis_calls: int
    model_calls: int


class ChatAnswer(BaseModel):
    """The stored turn's reply. Replayed: it was stored before; then `context` is empty, since it is not kept."""

    session_id: str
    turn_id: str
    seq: int
    reply: str
    tool_calls: list[ToolCall] | None = None
    finish_reason: str
    replayed: bool
    context: list[ContextView]
    usage: UsageView
    timings_ms: dict[str, float]
    degraded: list[str]

    @classmethod
    def of(cls, answer: Answer, meter: Meter) -> Self:
        """The answer on the wire."""
        turn = answer.turn
        return cls(
            session_id=turn.session_id.value,
            turn_id=turn.turn_id.value,
            seq=turn.seq,
            reply=turn.reply,
            tool_calls=list(turn.tool_calls) or None,
            finish_reason=turn.finish_reason or "stop",
            replayed=answer.replayed,
            context=[ContextView.of(entry) for entry in answer.context],
            usage=UsageView(
                prompt_tokens=turn.usage.prompt_tokens,
                completion_tokens=turn.usage.completion_tokens,
                request_units=round(meter.request_units, 2),
                cosmos_calls=meter.cosmos_calls,
                redis_calls=meter.redis_calls,
                model_calls=meter.model_calls,
            ),
            timings_ms=dict(answer.timings),
            degraded=list(answer.degraded),
        )


class SummaryView(BaseModel):
    """Text that stands for turns `from_seq` to `to_seq`."""

    text: str
    from_seq: int
    to_seq: int
    extractive: bool


class SessionView(BaseModel):
    """A session without its turns."""

    session_id: str
    title: str | None = None
    agent_id: str | None = None
    strategy: str | None = None
    ttl_seconds: int | None = None
    turn_count: int
    consolidated_seq: int
    summary: SummaryView | None = None
    last_active_at: datetime
    created_at: datetime

    @classmethod
    def of(cls, header: Header) -> Self:
        """The header on the wire."""
        return cls(
            session_id=header.session_id.value,
            title=header.shown_title,
            agent_id=header.agent_id,
            strategy=header.strategy,
            ttl_seconds=header.ttl_seconds,
            turn_count=header.turn_count,
            consolidated_seq=header.consolidated_seq,
            summary=SummaryView(**header.summary.model_dump(exclude={"title"})) if header.summary else None,
            last_active_at=header.last_active_at,
            created_at=header.created_at,
        )


class SessionPatchBody(Closed):
    """A merge patch: fields left out stay, null clears."""

    title: Name | None = None
    strategy: Strategy | None = None
    ttl_seconds: Annotated[Whole, Field(ge=60, le=315_360_000)] | None = None


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


class MessageView(BaseModel):
    """One role's text, or an assistant's tool calls, or a tool's result."""

    role: str
    content: str
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
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
            messages=[_message_view(message) for message in turn.messages],
            status=turn.status,
            created_at=turn.created_at,
        )


class SessionPage(BaseModel):
    """Sessions, newest first; `next_link` while there may be more."""

    value: Sequence[SessionView]
    next_link: str | None = None


class TurnPage(BaseModel):
    """Turns in order; `next_link` while there may be more."""

    value: Sequence[TurnView]
    next_link: str | None = None


class ValueBody(Closed):
    """A value to keep: any JSON."""

    value: JsonValue


class ValueView(BaseModel):
    """A value kept with a session."""

    name: str
    value: JsonValue
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, kept: SessionValue) -> Self:
        """The value on the wire."""
        return cls(name=kept.name.value, value=kept.value, updated_at=kept.updated_at, expires_at=kept.expires_at)


class PreferencesView(BaseModel):
    """A user's preferences; a user who has set none has `{}`."""

    preferences: dict[str, JsonValue]
    memory_enabled: bool
    updated_at: datetime | None = None

    @classmethod
    def of(cls, stored: Preferences) -> Self:
        """The preferences on the wire."""
        return cls(
            preferences=dict(stored.preferences), memory_enabled=stored.memory_enabled, updated_at=stored.updated_at
        )


class PreferencesBody(Closed):
    """The whole object; what is left out goes back to its default."""

    preferences: dict[str, JsonValue] = {}
    memory_enabled: Flag = True


class PreferencesPatchBody(Closed):
    """A JSON merge patch (RFC 7396) of the object: null removes a key."""

    preferences: dict[str, JsonValue] | None = None
    memory_enabled: Flag | None = None


class UsedView(BaseModel):
    """What is kept, and what it took to make."""

    sessions: int = Field(description="Sessions with at least one turn; under `today` those with a turn today")
    turns: int = Field(description="Turns; under `today` those stored today, whenever they were said")
    values: int = Field(description="Values kept with sessions; under `today` those set today")
    bytes: int = Field(
        description="Of these turns and values as the JSON that Cosmos DB stores; without headers of sessions, "
        "preferences and indexes"
    )
    prompt_tokens: int = Field(description="Of these turns, as the model counted them")
    completion_tokens: int = Field(description="Of these turns, as the model counted them")
    request_units: float = Field(
        description="What the requests that made these turns and values had spent in Cosmos DB when they wrote: their "
        "reads, without the write itself, whose price is known only afterwards and is in that answer's `usage`"
    )


class UserUsageView(BaseModel):
    """Of what has neither expired nor been deleted. What was made before this was measured counts, with 0 bytes."""

    day: date = Field(description="The day that `today` means; days are UTC's")
    today: UsedView
    total: UsedView

    @classmethod
    def of(cls, usage: UserUsage) -> Self:
        """The figures on the wire."""
        return cls(day=usage.day, today=_used_view(usage.today), total=_used_view(usage.total))


class HealthView(BaseModel):
    """Alive."""

    status: Literal["ok"] = "ok"


class CheckView(BaseModel):
    """One dependency."""

    status: Literal["ok", "unavailable"]
    ms: float


class ReadinessView(BaseModel):
    """Every dependency, asked at most five seconds ago."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, CheckView]


def _used_view(used: Used) -> UsedView:
    return UsedView(**asdict(replace(used, request_units=round(used.request_units, 2))))


def _message_view(message: Message) -> MessageView:
    return MessageView(
        role=message.role,
        content=message.content,
        name=message.name,
        tool_calls=list(message.tool_calls) or None,
        tool_call_id=message.tool_call_id,
        at=message.at,
    )
