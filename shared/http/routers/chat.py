"""Chat: one turn."""

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Header

from shared.domain import errors
from shared.domain.ids import SessionId, TurnId
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas import ChatAnswer, ChatBody
from shared.http.strict_json import StrictRoute
from shared.http.wiring import CurrentServices, CurrentSettings
from shared.metering import start_meter
from shared.services.conversation import Question
from shared.settings import Settings

router = APIRouter(tags=["chat"], route_class=StrictRoute)
IdempotencyKey = Annotated[str | None, Header(max_length=800, description="Stands for turn_id when that is absent")]


@router.post(
    "/chat",
    operation_id="chat",
    summary="Take one turn",
    response_model_exclude_none=True,
    responses=error_responses(
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
    body: ChatBody,
    user: CurrentUser,
    services: CurrentServices,
    settings: CurrentSettings,
    idempotency_key: IdempotencyKey = None,
) -> ChatAnswer:
    """Answer a message and keep the turn. The same `turn_id` again gives the same answer and stores nothing new."""
    meter = start_meter()
    answer = await services.conversation.ask(user, _question(body, idempotency_key, settings))
    return ChatAnswer.of(answer, meter)


def _question(body: ChatBody, idempotency_key: str | None, settings: Settings) -> Question:
    if None not in {body.turn_id, idempotency_key} and body.turn_id != idempotency_key:
        raise errors.InvalidRequest("turn_id and Idempotency-Key differ; send one of them", target="turn_id")
    if body.model not in {None, settings.chat_model, *settings.chat_models_allowed}:
        raise errors.InvalidRequest("This model is not on the list CHAT_MODELS_ALLOWED", target="model")
    return Question(
        session=SessionId(_first_given(body.session_id)),
        turn_id=TurnId(_first_given(body.turn_id, idempotency_key)),
        message=body.message,
        instructions=body.instructions,
        agent_id=body.agent_id,
        namespace=body.namespace,
        metadata=body.metadata,
        model=body.model,
        history_tokens=settings.history_tokens if body.history_tokens is None else body.history_tokens,
    )


def _first_given(*ids: str | None) -> str:
    return next((given for given in ids if given is not None), uuid4().hex)
