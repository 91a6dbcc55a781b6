"""A chat turn on the wire: the request and the answer."""

import json
from dataclasses import asdict
from typing import Annotated, Self
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.messages import MAX_MESSAGE_BYTES
from shared.domain.prompt import ContextEntry
from shared.http.schemas.fields import (
    MAX_INSTRUCTIONS_BYTES,
    Closed,
    Flag,
    IdText,
    Instructions,
    MessageContent,
    Name,
    Whole,
    too_large,
)
from shared.http.schemas.messages import NewMessageBody, ToolCallView
from shared.services.turns import Answer, ChatRequest, ToolResult
from shared.settings import Settings
from shared.telemetry.meter import Meter

MAX_TOOLS = 128  # the chat API's own limit
MAX_TOOL_RESULTS = 128  # of one turn: as many as a model may call
MAX_RESULTS_BYTES = 65_536
MAX_TOOLS_BYTES = 65_536


def _check_tools(tools: tuple[dict[str, JsonValue], ...]) -> tuple[dict[str, JsonValue], ...]:
    if len(json.dumps(tools, ensure_ascii=False).encode()) > MAX_TOOLS_BYTES:
        raise too_large(MAX_TOOLS_BYTES)
    return tools


class MemoryBody(Closed):
    """How a turn uses memory: whether it recalls, and its budget for stored text."""

    recall: Flag = True
    budget_tokens: Annotated[Whole, Field(ge=0, le=16_000)] | None = None


class ChatBody(Closed):
    """One chat turn. `turn_id` makes it safe to resend; without one, each request is a new turn.

    Without `session_id` it starts a session, and the same `turn_id` always starts the same one.
    A turn is a `message`, or in `messages` the results of the tools that the previous turn
    called, or both. `messages` also takes the user's text and, from system or developer,
    instructions for this turn.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"message": "Hello", "session_id": "monday"}]}
    )

    message: MessageContent | None = None
    messages: Annotated[tuple[NewMessageBody, ...], Field(max_length=2 * MAX_TOOL_RESULTS)] = ()
    tools: Annotated[
        tuple[dict[str, JsonValue], ...], Field(max_length=MAX_TOOLS), AfterValidator(_check_tools)
    ] = ()
    session_id: IdText | None = None
    turn_id: IdText | None = None
    agent_id: Name | None = None
    instructions: Instructions | None = None
    model: Name | None = None
    stream: Flag | None = None
    history_tokens: Annotated[Whole, Field(ge=0, le=200_000)] | None = None
    memory: MemoryBody = MemoryBody()

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        if not (self._user_text or self._results):
            raise PydanticCustomError(
                "no_message", "Send a message, or the results of tools in messages"
            )
        for texts, limit in (
            ([result.content for result in self._results], MAX_RESULTS_BYTES),
            ([self._user_text or ""], MAX_MESSAGE_BYTES),
            ([self._all_instructions or ""], MAX_INSTRUCTIONS_BYTES),
        ):
            if sum(len(text.encode()) for text in texts) > limit:
                raise too_large(limit)
        return self

    @property
    def _results(self) -> list[ToolResult]:
        return [
            ToolResult(message.tool_call_id, message.content)
            for message in self.messages
            if message.role == "tool" and message.tool_call_id
        ]

    @property
    def _user_text(self) -> str | None:
        return self._joined("user", self.message)

    @property
    def _all_instructions(self) -> str | None:
        return self._joined("system", self.instructions)

    def _joined(self, role: str, own: str | None) -> str | None:
        texts = [message.content for message in self.messages if message.role == role]
        return "\n\n".join([*texts, *([own] if own else ())]) or None

    def to_request(
        self, user: UserId, idempotency_key: str | None, settings: Settings
    ) -> ChatRequest:
        """The request with ids and budgets filled in.

        Raises:
            InvalidId: an id is not valid.
        """
        turn_id = TurnId(_first_given(self.turn_id, idempotency_key))
        session = self.session_id
        return ChatRequest(
            user=user,
            session=SessionId.started_by(turn_id) if session is None else SessionId(session),
            turn_id=turn_id,
            message=self._user_text,
            results=self._results,
            tools=self.tools,
            instructions=self._all_instructions,
            agent_id=self.agent_id,
            model=self.model,
            history_tokens=_or_default(self.history_tokens, settings.history_tokens),
            memory_tokens=self._memory_tokens(settings),
        )

    def _memory_tokens(self, settings: Settings) -> int:
        if not self.memory.recall:
            return 0
        return _or_default(self.memory.budget_tokens, settings.memory_tokens)


class ContextView(BaseModel):
    """One thing that the model was given, and why."""

    section: str
    id: str | None = None
    session_id: str | None = Field(None, description="The session that a recalled turn is from")
    text: str | None = None
    score: float | None = None
    why: str | None = None

    @classmethod
    def of(cls, entry: ContextEntry) -> Self:
        """Render the entry."""
        return cls(**asdict(entry))


class UsageView(BaseModel):
    """What the request used: tokens as the model counted them, calls as they left the process."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="Prompt tokens that the provider had in its cache")
    embedding_tokens: int
    request_units: float
    cosmos_calls: int
    redis_calls: int
    model_calls: int


class ChatAnswer(BaseModel):
    """The stored turn's reply.

    `replayed` means that it was stored before; then `context` is empty, since it is not stored.
    """

    session_id: str
    turn_id: str
    seq: int
    reply: str
    tool_calls: list[ToolCallView] | None = None
    finish_reason: str
    replayed: bool
    context: list[ContextView]
    usage: UsageView
    timings_ms: dict[str, float]
    degraded: list[str]

    @classmethod
    def of(cls, answer: Answer, meter: Meter) -> Self:
        """Render the answer with what the request used."""
        turn = answer.turn
        return cls(
            session_id=turn.session_id.value,
            turn_id=turn.turn_id.value,
            seq=turn.seq,
            reply=turn.reply,
            tool_calls=[ToolCallView.of(call) for call in turn.tool_calls] or None,
            finish_reason=turn.finish_reason or "stop",
            replayed=answer.replayed,
            context=[ContextView.of(entry) for entry in answer.context],
            usage=UsageView(
                prompt_tokens=turn.usage.prompt_tokens,
                completion_tokens=turn.usage.completion_tokens,
                cached_tokens=turn.usage.cached_tokens,
                embedding_tokens=meter.spent.embedding_tokens,
                request_units=round(meter.spent.request_units, 2),
                cosmos_calls=meter.cosmos_calls,
                redis_calls=meter.redis_calls,
                model_calls=meter.spent.model_calls,
            ),
            timings_ms=dict(answer.timings),
            degraded=list(answer.degraded),
        )


def _first_given(*ids: str | None) -> str:
    return next((given for given in ids if given is not None), uuid4().hex)


def _or_default(tokens: int | None, default: int) -> int:
    return default if tokens is None else tokens
