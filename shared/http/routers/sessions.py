"""Sessions: list, read, change, delete, summarise."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from shared.domain import errors
from shared.domain.ids import SessionId
from shared.domain.sessions import Header as SessionHeader
from shared.domain.sessions import SessionPatch, session_etag
from shared.http.dependencies import CurrentServices
from shared.http.errors import error_responses
from shared.http.paging import Cursor, Limit, next_link, read_cursor
from shared.http.principal import CurrentUser
from shared.http.schemas.fields import SessionIdText
from shared.http.schemas.sessions import SessionPage, SessionPatchBody, SessionView
from shared.http.strict_json import StrictRoute
from shared.ports.sessions import HeaderCursor

router = APIRouter(tags=["sessions"], route_class=StrictRoute, prefix="/sessions")
IfMatch = Annotated[
    str | None, Header(max_length=200, description="An ETag: refuse the change if it has changed")
]
UNAVAILABLE = (errors.StoreUnavailable, errors.Busy)


@router.get(
    "",
    operation_id="list_sessions",
    summary="List sessions",
    response_model_exclude_none=True,
    responses=error_responses(*UNAVAILABLE),
)
async def list_sessions(
    user: CurrentUser, services: CurrentServices, limit: Limit = 20, cursor: Cursor = None
) -> SessionPage:
    """Return the user's sessions, newest first."""
    after = _read_place(cursor) if cursor else None
    headers = await services.sessions.list(user, after, limit)
    page = SessionPage(value=[SessionView.of(header) for header in headers])
    if len(headers) == limit:
        last = headers[-1]
        place = {"at": last.last_active_at.isoformat(), "session": last.session_id.value}
        page.next_link = next_link("/api/sessions", limit, place)
    return page


@router.get(
    "/{session_id}",
    operation_id="read_session",
    summary="Read a session",
    response_model_exclude_none=True,
    responses=error_responses(errors.NotFound, *UNAVAILABLE),
)
async def read_session(
    session_id: SessionIdText, user: CurrentUser, services: CurrentServices, response: Response
) -> SessionView:
    """Return a session without its turns, with its summary if there is one."""
    return _render(await services.sessions.read(user, SessionId(session_id)), response)


@router.patch(
    "/{session_id}",
    operation_id="update_session",
    summary="Change a session",
    response_model_exclude_none=True,
    responses=error_responses(
        errors.NotFound, errors.PreconditionFailed, errors.TooLarge, *UNAVAILABLE
    ),
)
async def update_session(
    session_id: SessionIdText,
    body: SessionPatchBody,
    user: CurrentUser,
    services: CurrentServices,
    response: Response,
    if_match: IfMatch = None,
) -> SessionView:
    """Set the title or the time to live; null clears a field."""
    given = frozenset(body.model_fields_set)
    patch = SessionPatch(given, body.title, body.ttl_seconds)
    session, etag = SessionId(session_id), bare_etag(if_match)
    return _render(await services.sessions.update(user, session, patch, etag), response)


@router.delete(
    "/{session_id}",
    operation_id="delete_session",
    summary="Delete a session",
    status_code=204,
    responses=error_responses(errors.PreconditionFailed, *UNAVAILABLE),
)
async def delete_session(
    session_id: SessionIdText,
    user: CurrentUser,
    services: CurrentServices,
    if_match: IfMatch = None,
) -> None:
    """Delete a session with all its turns and data. Deleting what does not exist succeeds."""
    await services.deletion.delete(user, SessionId(session_id), bare_etag(if_match))


@router.post(
    "/{session_id}/consolidate",
    operation_id="consolidate_now",
    summary="Summarise a session now",
    response_model_exclude_none=True,
    responses=error_responses(
        errors.NotFound, errors.SessionErased, errors.ModelUnavailable, *UNAVAILABLE
    ),
)
async def consolidate_now(
    session_id: SessionIdText, user: CurrentUser, services: CurrentServices, response: Response
) -> SessionView:
    """Summarise what was said since the last summary, and return the session.

    It is complete when `consolidated_seq` equals `turn_count`. A very long session may take more
    than the minute that one request has: send the request again. Idempotent. With memory
    switched off nothing is summarised, and `consolidated_seq` stays as it is.
    """
    return _render(await services.consolidation.consolidate(user, SessionId(session_id)), response)


def bare_etag(if_match: str | None) -> str | None:
    """The ETag without quotes; a weak mark is dropped too, since the digest is strong."""
    return if_match and if_match.removeprefix("W/").strip('"')


def _render(header: SessionHeader, response: Response) -> SessionView:
    response.headers["ETag"] = f'"{session_etag(header)}"'
    return SessionView.of(header)


def _read_place(cursor: str) -> HeaderCursor:
    place = read_cursor(cursor, {"at": str, "session": str})
    try:
        return HeaderCursor.at(place["at"], SessionId(place["session"]))
    except ValueError as invalid:
        raise errors.InvalidRequest(
            "This cursor does not belong to this list; use one from its next_link",
            target="cursor",
        ) from invalid
