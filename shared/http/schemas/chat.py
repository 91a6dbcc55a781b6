"""A chat turn on the wire: asked and answered."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from shared.domain.context import ContextEntry
from shared.domain.turns import ToolCall
from shared.http.schemas.fields import (
    Closed,
    Flag,
    IdText,
    Instructions,
    LongText,
    MessageText,
    Name,
    Whole,
)
from shared.metering import Meter
from shared.services.turn_stream import Answer

MAX_METADATA_BYTES = 16_384
MAX_TOOLS = 128  # what the chat API itself allows
MAX_TOOL_RESULTS = 16  # of one turn
MAX_RESULTS_BYTES = 65_536
MAX_TOOLS_BYTES = 65_536


def _small(values: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    if (
        sum(len(str(key).encode()) + len(str(value).encode()) for key, value in values.items())
        > MAX_METADATA_BYTES
    ):
        raise PydanticCustomError(
            "too_large", "May have {limit} bytes", {"limit": MAX_METADATA_BYTES}
        )
    return values


def _small_tools(tools: tuple[dict[str, JsonValue], ...]) -> tuple[dict[str, JsonValue], ...]:
    if len(json.dumps(tools, ensure_ascii=False).encode()) > MAX_TOOLS_BYTES:
        raise PydanticCustomError("too_large", "May have {limit} bytes", {"limit": MAX_TOOLS_BYTES})
    return tools


class ToolResultBody(Closed):
    """What a tool answered."""

    role: Literal["tool"] = "tool"
    tool_call_id: Name
    content: LongText


class MemoryBody(Closed):
    """What a turn does with memory: whether it recalls, and how many tokens of memory its model is given."""

    recall: Flag = True
    budget_tokens: Annotated[Whole, Field(ge=0, le=16_000)] | None = None


class ChatBody(Closed):
    """One chat turn. `turn_id` makes it safe to send twice; without one each send is a new turn.

    Without `session_id` it begins a session, with the same `turn_id` always the same one. A turn is a `message`, or in
    `messages` the results of the tools that the turn before asked for, or both.
    """

    message: MessageText | None = None
    messages: Annotated[tuple[ToolResultBody, ...], Field(max_length=MAX_TOOL_RESULTS)] = ()
    tools: Annotated[
        tuple[dict[str, JsonValue], ...], Field(max_length=MAX_TOOLS), AfterValidator(_small_tools)
    ] = ()
    session_id: IdText | None = None
    turn_id: IdText | None = None
    agent_id: Name | None = None
    namespace: Annotated[
        Name | None, Field(description="Not used yet; part of what makes a body another one")
    ] = None
    instructions: Instructions | None = None
    model: Name | None = None
    stream: Flag = False
    history_tokens: Annotated[Whole, Field(ge=0, le=200_000)] | None = None
    memory: MemoryBody = MemoryBody()
    metadata: Annotated[
        Annotated[Mapping[str, JsonValue], AfterValidator(_small)] | None,
        Field(description="Not kept; part of what makes a body another one"),
    ] = None

    @model_validator(mode="after")
    def _check_said(self) -> Self:
        if self.message is None and not self.messages:
            raise PydanticCustomError(
                "missing", "Send a message, or the results of tools in messages"
            )
        if sum(len(result.content.encode()) for result in self.messages) > MAX_RESULTS_BYTES:
            raise PydanticCustomError(
                "too_large", "Results may have {limit} bytes", {"limit": MAX_RESULTS_BYTES}
            )
        return self


class ContextView(BaseModel):
    """One thing the model was given, and why."""

    section: str
    id: str | None = None
    session_id: str | None = Field(
        None, description="Of a recalled turn, the session it was said in"
    )
    text: str | None = None
    score: float | None = None
    why: str | None = None

    @classmethod
    def of(cls, entry: ContextEntry) -> Self:
        """The entry on the wire."""
        return cls(**asdict(entry))


class UsageView(BaseModel):
    """What the request used: tokens as the model counted them, calls as they left the process."""

    prompt_tokens: int
    completion_tokens: int
    embedding_tokens: int
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
                embedding_tokens=meter.embedding_tokens,
                request_units=round(meter.request_units, 2),
                cosmos_calls=meter.cosmos_calls,
                redis_calls=meter.redis_calls,
                model_calls=meter.model_calls,
            ),
            timings_ms=dict(answer.timings),
            degraded=list(answer.degraded),
        )
