"""Chat: one turn."""

import asyncio
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Header, Request, Response

from shared.domain import errors
from shared.domain.ids import SessionId, TurnId, UserId
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas.chat import ChatAnswer, ChatBody, MemoryBody
from shared.http.sse import stream_events
from shared.http.strict_json import StrictRoute
from shared.http.wiring import CurrentServices, CurrentSettings
from shared.metering import current_meter
from shared.services.conversation import Conversation
from shared.services.questions import Question, ToolResult
from shared.settings import Settings

router = APIRouter(tags=["chat"], route_class=StrictRoute)
EVENT_STREAM = "text/event-stream"
IdempotencyKey = Annotated[
    str | None, Header(max_length=800, description="Stands for turn_id when that is absent")
]
Patience = Annotated[
    int | None,
    Header(
        alias="x-request-deadline-ms",
        ge=1,
        le=180_000,
        description="Milliseconds after which to stop waiting",
    ),
]
EVENT = {  # one of the stream's; before OpenAPI 3.2 there is no better place to say so
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["context", "delta", "done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
AS_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; or, asked for with `Accept: text/event-stream` or `stream`, the events "
        "`context`, `delta` (provisional until `done`), `done` (the answer, and whether it replaces what was "
        "streamed) and `error`",
        "content": {EVENT_STREAM: {"schema": EVENT}},
    }
}


@router.post(
    "/chat",
    operation_id="chat",
    summary="Take one turn",
    response_model=ChatAnswer,
    response_model_exclude_none=True,
    responses=AS_EVENTS
    | error_responses(
        errors.TurnConflict,
        errors.TurnInProgress,
        errors.SessionErased,
        errors.TooLarge,
        errors.ContentFiltered,
        errors.ModelUnavailable,
        errors.StoreUnavailable,
        errors.Busy,
    ),
)
async def chat(
    request: Request,
    body: ChatBody,
    user: CurrentUser,
    services: CurrentServices,
    settings: CurrentSettings,
    idempotency_key: IdempotencyKey = None,
    patience_ms: Patience = None,
) -> ChatAnswer | Response:
    """Answer a message and keep the turn. The same `turn_id` again gives the same answer and stores nothing new."""
    question = _question(body, idempotency_key, settings)
    patience = patience_ms / 1000 if patience_ms else None
    if patience and body.turn_id is None and idempotency_key is None:
        raise errors.InvalidRequest(
            "With x-request-deadline-ms send a turn_id, too: by it the answer is collected",
            target="turn_id",
        )
    if body.stream or EVENT_STREAM in request.headers.get("accept", ""):
        return await _stream(
            services.conversation, user, question, patience, request.state.request_id
        )
    return ChatAnswer.of(await services.conversation.ask(user, question, patience), current_meter())


async def _stream(
    conversation: Conversation,
    user: UserId,
    question: Question,
    patience: float | None,
    request_id: str,
) -> Response:
    """Events from the first token on; what goes wrong before it has its own status."""
    stream = conversation.stream(user, question)
    try:
        async with asyncio.timeout(patience):
            first = await stream.receive()
    except asyncio.CancelledError:
        stream.leave(interrupt=True)
        raise
    except TimeoutError:
        stream.leave(interrupt=False)
        raise errors.TurnInProgress(
            "The turn goes on; send it again to collect its answer", retry_after=1
        ) from None
    return stream_events(stream, first, current_meter(), request_id)


def _question(body: ChatBody, idempotency_key: str | None, settings: Settings) -> Question:
    if None not in {body.turn_id, idempotency_key} and body.turn_id != idempotency_key:
        raise errors.InvalidRequest(
            "turn_id and Idempotency-Key differ; send one of them", target="turn_id"
        )
    if body.model not in {None, settings.chat_model, *settings.chat_models_allowed}:
        raise errors.InvalidRequest(
            "This model is not on the list CHAT_MODELS_ALLOWED", target="model"
        )
    turn_id = TurnId(_first_given(body.turn_id, idempotency_key))
    return Question(
        session=SessionId(body.session_id)
        if body.session_id is not None
        else SessionId.begun_by(turn_id),
        turn_id=turn_id,
        message=body.message,
        results=[ToolResult(result.tool_call_id, result.content) for result in body.messages],
        tools=body.tools,
        instructions=body.instructions,
        agent_id=body.agent_id,
        namespace=body.namespace,
        metadata=body.metadata,
        model=body.model,
        history_tokens=settings.history_tokens
        if body.history_tokens is None
        else body.history_tokens,
        memory_tokens=_memory_tokens(body.memory, settings),
    )


def _memory_tokens(memory: MemoryBody, settings: Settings) -> int:
    if not memory.recall:
        return 0
    return settings.memory_tokens if memory.budget_tokens is None else memory.budget_tokens


def _first_given(*ids: str | None) -> str:
    return next((given for given in ids if given is not None), uuid4().hex)
