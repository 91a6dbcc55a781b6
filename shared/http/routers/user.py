"""The user: what is stored, and what was spent."""

from fastapi import APIRouter

from shared.domain import errors
from shared.http.dependencies import CurrentServices
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas.usage import UserUsageView
from shared.http.strict_json import StrictRoute

router = APIRouter(tags=["user"], route_class=StrictRoute, prefix="/user")


@router.get(
    "/usage",
    operation_id="read_usage",
    summary="Read usage",
    responses=error_responses(errors.StoreUnavailable, errors.Busy),
)
async def read_usage(user: CurrentUser, services: CurrentServices) -> UserUsageView:
    """Return what is stored for the user now, and what was spent, in total and today.

    What is stored is summed up on request: ask rarely.
    """
    return UserUsageView.of(await services.usage.read(user))
