"""The user as a whole."""

from fastapi import APIRouter

from shared.domain import errors
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas.usage import UserUsageView
from shared.http.strict_json import StrictRoute
from shared.http.wiring import CurrentServices

router = APIRouter(tags=["user"], route_class=StrictRoute, prefix="/user")


@router.get(
    "/usage",
    operation_id="read_usage",
    summary="Read usage",
    responses=error_responses(errors.StoreUnavailable, errors.Busy),
)
async def read_usage(user: CurrentUser, services: CurrentServices) -> UserUsageView:
    """What is kept of the user and what it took, today and in all. Added up when asked: seldom is better than often."""
    return UserUsageView.of(await services.usage.read(user))
