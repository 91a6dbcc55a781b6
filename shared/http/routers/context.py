"""Context: what a model that the caller runs should be given."""

from fastapi import APIRouter

from shared.domain import errors
from shared.http.dependencies import CurrentServices, CurrentSettings
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas.context import ContextAnswer, ContextBody
from shared.http.strict_json import StrictRoute

router = APIRouter(tags=["chat"], route_class=StrictRoute)


@router.post(
    "/context",
    operation_id="preview_context",
    summary="Preview the context of a message",
    response_model_exclude_none=True,
    responses=error_responses(errors.TooLarge, errors.StoreUnavailable, errors.Busy),
)
async def preview_context(
    body: ContextBody, user: CurrentUser, services: CurrentServices, settings: CurrentSettings
) -> ContextAnswer:
    """Return the messages to send to your own model, and why each is included.

    Nothing is stored and no chat model is called.
    """
    return ContextAnswer.of(await services.preview.preview(body.to_request(user, settings)))
