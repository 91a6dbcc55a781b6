"""Chat: one turn."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from shared.domain import errors
from shared.domain.ids import UserId
from shared.http.dependencies import CurrentServices, CurrentSettings
from shared.http.errors import error_responses
from shared.http.media_types import accepts
from shared.http.principal import CurrentUser
from shared.http.schemas.chat import ChatAnswer, ChatBody
from shared.http.sse import EVENT_STREAM, describe_events, stream_events
from shared.http.strict_json import StrictRoute
from shared.services.turns import Chat, ChatRequest
from shared.settings import Settings
from shared.telemetry.meter import current_meter

router = APIRouter(tags=["chat"], route_class=StrictRoute)
IdempotencyKey = Annotated[
    str | None, Header(max_length=800, description="Used as turn_id if the body has none")
]
Patience = Annotated[
    int | None,
    Header(
        alias="x-request-deadline-ms",
        ge=1,
        le=180_000,
        description="Milliseconds after which to stop waiting; needs a turn_id",
    ),
]
CHAT_ERRORS = (
    errors.TurnConflict,
    errors.TurnInProgress,
    errors.SessionErased,
    errors.TooLarge,
    errors.ContentFiltered,
    errors.CompletionLimitReached,
    errors.ModelUnavailable,
    errors.StoreUnavailable,
    errors.StoreFull,
    errors.Busy,
)
RESPONSES: dict[int | str, dict[str, Any]] = describe_events() | error_responses(*CHAT_ERRORS)


@router.post(
    "/chat",
    operation_id="chat",
    summary="Take one turn",
    response_model=ChatAnswer,
    response_model_exclude_none=True,
    responses=RESPONSES,
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
    """Answer a message and store the turn.

    The same `turn_id` sent again returns the same answer and stores nothing new.
    """
    asked = _chat_request(user, body, idempotency_key, settings)
    patience = patience_ms / 1000 if patience_ms else None
    if patience and body.turn_id is None and idempotency_key is None:
        raise errors.InvalidRequest(
            "x-request-deadline-ms needs a turn_id; send one to collect the answer with later",
            target="turn_id",
        )
    accepted = accepts(request.headers.get("accept", ""), EVENT_STREAM)
    if accepted if body.stream is None else body.stream:
        return await _stream(services.chat, asked, patience, request)
    return ChatAnswer.of(await services.chat.ask(asked, patience), current_meter())


async def _stream(
    chat: Chat, asked: ChatRequest, patience: float | None, request: Request
) -> Response:
    """Stream from the first token on; an error before it gets its own status."""
    stream = chat.stream(asked)
    try:
        async with asyncio.timeout(patience):
            first = await stream.receive()
    except asyncio.CancelledError:
        stream.leave(interrupt=True)
        raise
    except TimeoutError:
        stream.leave(interrupt=False)
        raise errors.TurnInProgress(
            "The turn is still running; send it again to collect the answer", retry_after=1
        ) from None
    return stream_events(stream, first, current_meter(), request)


def _chat_request(
    user: UserId, body: ChatBody, idempotency_key: str | None, settings: Settings
) -> ChatRequest:
    if None not in {body.turn_id, idempotency_key} and body.turn_id != idempotency_key:
        raise errors.InvalidRequest(
            "turn_id and Idempotency-Key differ; send only one of them", target="turn_id"
        )
    if body.model not in {None, settings.chat_model, *settings.chat_models_allowed}:
        raise errors.InvalidRequest(
            "This model is not allowed; choose one that CHAT_MODELS_ALLOWED lists", target="model"
        )
    return body.to_request(user, idempotency_key, settings)
