"""The transcript: read, and added to from elsewhere."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import JsonValue

from shared.domain import errors
from shared.domain.ids import SessionId, TurnId
from shared.domain.turns import body_hash
from shared.http.errors import error_responses
from shared.http.paging import Cursor, Limit, next_link, read_cursor
from shared.http.principal import CurrentUser
from shared.http.schemas.fields import ID_SCHEMA, SessionIdText
from shared.http.schemas.turns import TurnBody, TurnPage, TurnView
from shared.http.strict_json import StrictRoute
from shared.http.wiring import CurrentServices
from shared.services.commits import STORE_SECONDS
from shared.services.openings import Asked

router = APIRouter(
    tags=["sessions"], route_class=StrictRoute, prefix="/sessions/{session_id}/turns"
)
TurnIdText = Annotated[
    str, Path(json_schema_extra=ID_SCHEMA, description="The caller's name for the turn")
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
) -> TurnPage:
    """The session's turns, oldest first."""
    session = SessionId(session_id)
    after = read_cursor(cursor, {"seq": int})["seq"] if cursor else 0
    turns, more = await services.sessions.list_turns(user, session, after, limit)
    page = TurnPage(value=[TurnView.of(turn) for turn in turns])
    if more:
        page.next_link = next_link(
            f"/api/sessions/{session.value}/turns", limit, {"seq": turns[-1].seq}
        )
    return page


RECORDED_BEFORE: dict[int | str, dict[str, Any]] = {
    200: {"model": TurnView, "description": "It was recorded before, with the same body"}
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
    """Store a turn without asking a model. The same turn again is 200; another body under its id is 409."""
    at = body.at or datetime.now(UTC)
    content: dict[str, JsonValue] = body.model_dump(mode="json", exclude_defaults=True)
    asked = Asked(SessionId(session_id), TurnId(turn_id), body_hash(content), STORE_SECONDS)
    settled = await services.conversation.record(
        user, asked, [message.to_message(at) for message in body.messages]
    )
    if settled.replayed:
        response.status_code = 200
    return TurnView.of(settled.turn)
