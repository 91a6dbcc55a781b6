"""Session data and results of tools, by name."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from shared.domain import errors
from shared.domain.ids import DataName, SessionId
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas.fields import ID_SCHEMA, SessionIdText
from shared.http.schemas.values import ValueBody, ValueView
from shared.http.strict_json import StrictRoute
from shared.http.wiring import CurrentServices

router = APIRouter(
    tags=["sessions"], route_class=StrictRoute, prefix="/sessions/{session_id}/data/{name}"
)
Ttl = Annotated[
    int | None, Query(ge=1, le=315_360_000, description="Seconds to keep it; else as long as turns")
]
NameText = Annotated[str, Path(json_schema_extra=ID_SCHEMA, description="A name for the value")]
UNAVAILABLE = (errors.StoreUnavailable, errors.Busy)


@router.get(
    "",
    operation_id="read_data",
    summary="Read a value",
    responses=error_responses(errors.NotFound, *UNAVAILABLE),
)
async def read_data(
    session_id: SessionIdText, name: NameText, user: CurrentUser, services: CurrentServices
) -> ValueView:
    """A value kept with a session: its data, or a tool's result."""
    return ValueView.of(
        await services.session_data.read(user, SessionId(session_id), DataName(name))
    )


@router.put(
    "",
    operation_id="put_data",
    summary="Keep a value",
    responses=error_responses(errors.TooLarge, errors.Conflict, *UNAVAILABLE),
)
async def put_data(
    session_id: SessionIdText,
    name: NameText,
    body: ValueBody,
    user: CurrentUser,
    services: CurrentServices,
    ttl: Ttl = None,
) -> ValueView:
    """Keep a value with a session; for a tool's result, name it by the tool and a hash of its arguments."""
    kept = await services.session_data.write(
        user, SessionId(session_id), DataName(name), body.value, ttl
    )
    return ValueView.of(kept)


@router.delete(
    "",
    operation_id="delete_data",
    summary="Forget a value",
    status_code=204,
    responses=error_responses(*UNAVAILABLE),
)
async def delete_data(
    session_id: SessionIdText, name: NameText, user: CurrentUser, services: CurrentServices
) -> None:
    """Forget a value. What is not there is deleted already."""
    await services.session_data.delete(user, SessionId(session_id), DataName(name))
