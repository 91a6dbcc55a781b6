"""Preferences: one object per user."""

from fastapi import APIRouter, Response

from shared.domain import errors
from shared.domain.preferences import Preferences
from shared.http.dependencies import CurrentServices
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.routers.sessions import IfMatch, bare_etag
from shared.http.schemas.preferences import PreferencesBody, PreferencesPatchBody, PreferencesView
from shared.http.strict_json import StrictRoute

router = APIRouter(tags=["preferences"], route_class=StrictRoute, prefix="/preferences")
WRITE_ERRORS = (
    errors.PreconditionFailed,
    errors.TooLarge,
    errors.StoreUnavailable,
    errors.Busy,
)


@router.get(
    "",
    operation_id="read_preferences",
    summary="Read preferences",
    response_model_exclude_none=True,
    responses=error_responses(errors.StoreUnavailable, errors.Busy),
)
async def read_preferences(
    user: CurrentUser, services: CurrentServices, response: Response
) -> PreferencesView:
    """Return what the user has set; `{}` with ETag "0" for a new user."""
    return _render(await services.preferences.read(user), response)


@router.put(
    "",
    operation_id="replace_preferences",
    summary="Replace preferences",
    response_model_exclude_none=True,
    responses=error_responses(*WRITE_ERRORS),
)
async def replace_preferences(
    body: PreferencesBody,
    user: CurrentUser,
    services: CurrentServices,
    response: Response,
    if_match: IfMatch = None,
) -> PreferencesView:
    """Replace the whole object."""
    content = body.model_dump(mode="json")
    return _render(await services.preferences.replace(user, content, bare_etag(if_match)), response)


@router.patch(
    "",
    operation_id="update_preferences",
    summary="Merge into preferences",
    response_model_exclude_none=True,
    responses=error_responses(*WRITE_ERRORS),
)
async def update_preferences(
    body: PreferencesPatchBody,
    user: CurrentUser,
    services: CurrentServices,
    response: Response,
    if_match: IfMatch = None,
) -> PreferencesView:
    """Apply a JSON merge patch (RFC 7396); null removes a key."""
    patch = body.model_dump(mode="json", include=body.model_fields_set)
    return _render(await services.preferences.merge(user, patch, bare_etag(if_match)), response)


@router.delete(
    "",
    operation_id="delete_preferences",
    summary="Delete preferences",
    status_code=204,
    responses=error_responses(errors.PreconditionFailed, errors.StoreUnavailable, errors.Busy),
)
async def delete_preferences(
    user: CurrentUser, services: CurrentServices, if_match: IfMatch = None
) -> None:
    """Delete all preferences of the user. Deleting what does not exist succeeds."""
    await services.preferences.delete(user, bare_etag(if_match))


def _render(stored: Preferences, response: Response) -> PreferencesView:
    response.headers["ETag"] = f'"{stored.etag}"'
    return PreferencesView.of(stored)
