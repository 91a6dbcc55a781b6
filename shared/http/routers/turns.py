"""The transcript: read turns, and record turns that were answered elsewhere."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from shared.domain import errors
from shared.domain.ids import SessionId, TurnId
from shared.http.dependencies import CurrentServices
from shared.http.errors import error_responses
from shared.http.paging import Cursor, Limit, next_link, read_cursor
from shared.http.principal import CurrentUser
from shared.http.schemas.fields import ID_SCHEMA, SessionIdText
from shared.http.schemas.turns import TurnBody, TurnPage, TurnView
from shared.http.strict_json import StrictRoute
from shared.services.turns import RecordRequest

router = APIRouter(
    tags=["sessions"], route_class=StrictRoute, prefix="/sessions/{session_id}/turns"
)
Order = Annotated[Literal["asc", "desc"], Query(description="By time: oldest or newest first")]
TurnIdText = Annotated[
    str,
    Path(
        json_schema_extra=ID_SCHEMA, description="The caller's id of the turn", examples=["turn-1"]
    ),
]


@router.get(
    "",
    operation_id="list_turns",
    summary="Read the transcript",
    response_model_exclude_none=True,
    responses=error_responses(errors.NotFound, errors.StoreUnavailable, errors.Busy),
)
async def list_turns(
    session_id: SessionIdText,
    user: CurrentUser,
    services: CurrentServices,
    limit: Limit = 20,
    cursor: Cursor = None,
    order: Order = "asc",
) -> TurnPage:
    """Return the session's turns, oldest first, or newest first with `order=desc`."""
    session = SessionId(session_id)
    seq = read_cursor(cursor, {"seq": int})["seq"] if cursor else None
    if order == "asc":
        turns, more = await services.sessions.list_turns(user, session, seq or 0, limit)
    else:
        turns, more = await services.sessions.list_newest_turns(user, session, seq, limit)
    page = TurnPage(value=[TurnView.of(turn) for turn in turns])
    if more:
        path, place = f"/api/sessions/{session.value}/turns", {"seq": turns[-1].seq}
        page.next_link = next_link(path, limit, place, {"order": order} if order != "asc" else {})
    return page


RECORDED_BEFORE: dict[int | str, dict[str, Any]] = {
    200: {"model": TurnView, "description": "The turn was already recorded with this body"}
}


@router.put(
    "/{turn_id}",
    operation_id="put_turn",
    summary="Record a turn answered elsewhere",
    status_code=201,
    response_model_exclude_none=True,
    responses=RECORDED_BEFORE
    | error_responses(
        errors.TurnConflict,
        errors.TurnInProgress,
        errors.SessionErased,
        errors.TooLarge,
        errors.StoreUnavailable,
        errors.StoreFull,
        errors.Busy,
    ),
)
async def put_turn(
    session_id: SessionIdText,
    turn_id: TurnIdText,
    body: TurnBody,
    user: CurrentUser,
    services: CurrentServices,
    response: Response,
) -> TurnView:
    """Store a turn without calling a model.

    The same turn again returns 200; a different body under its id returns 409.
    """
    at = body.at or datetime.now(UTC)
    request = RecordRequest(
        user=user,
        session=SessionId(session_id),
        turn_id=TurnId(turn_id),
        body=body.identity,
        recorded=[message.to_message(at) for message in body.messages],
    )
    stored = await services.chat.record(request)
    if stored.replayed:
        response.status_code = 200
    return TurnView.of(stored.turn)
