"""Context: what a model that is asked elsewhere should know."""

from uuid import uuid4

from fastapi import APIRouter

from shared.domain import errors
from shared.domain.ids import SessionId, TurnId
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas.context import ContextBody, ContextPack
from shared.http.strict_json import StrictRoute
from shared.http.wiring import CurrentServices, CurrentSettings
from shared.services.questions import Question

router = APIRouter(tags=["chat"], route_class=StrictRoute)


@router.post(
    "/context",
    operation_id="pack_context",
    summary="Pack what a model should know",
    response_model_exclude_none=True,
    responses=error_responses(errors.TooLarge, errors.StoreUnavailable, errors.Busy),
)
async def pack_context(
    body: ContextBody, user: CurrentUser, services: CurrentServices, settings: CurrentSettings
) -> ContextPack:
    """The messages to put before your own model, and why each is there. Nothing is stored and no model is asked."""
    question = Question(
        session=SessionId(uuid4().hex if body.session_id is None else body.session_id),
        turn_id=TurnId(uuid4().hex),
        message=body.message,
        results=(),
        tools=(),
        instructions=None,
        agent_id=None,
        namespace=None,
        metadata=None,
        model=None,
        history_tokens=settings.history_tokens
        if body.history_tokens is None
        else body.history_tokens,
        memory_tokens=settings.memory_tokens if body.budget_tokens is None else body.budget_tokens,
    )
    return ContextPack.of(await services.packs.pack(user, question))
