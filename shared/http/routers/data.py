"""Session data: JSON values by name, such as results of tools."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from shared.domain import errors
from shared.domain.ids import DataName, SessionId
from shared.http.dependencies import CurrentServices
from shared.http.errors import error_responses
from shared.http.principal import CurrentUser
from shared.http.schemas.data import DataBody, DataView
from shared.http.schemas.fields import ID_SCHEMA, SessionIdText
from shared.http.strict_json import StrictRoute

router = APIRouter(
    tags=["sessions"], route_class=StrictRoute, prefix="/sessions/{session_id}/data/{name}"
)
Ttl = Annotated[
    int | None,
    Query(ge=1, le=315_360_000, description="Seconds to keep it; by default as long as turns"),
]
NameText = Annotated[
    str, Path(json_schema_extra=ID_SCHEMA, description="A name for the value", examples=["order:7"])
]
UNAVAILABLE = (errors.StoreUnavailable, errors.Busy)


@router.get(
    "",
    operation_id="read_data",
    summary="Read session data",
    responses=error_responses(errors.NotFound, *UNAVAILABLE),
)
async def read_data(
    session_id: SessionIdText, name: NameText, user: CurrentUser, services: CurrentServices
) -> DataView:
    """Return one item of session data."""
    item = await services.session_data.read(user, SessionId(session_id), DataName(name))
    return DataView.of(item)


@router.put(
    "",
    operation_id="put_data",
    summary="Store session data",
    responses=error_responses(errors.TooLarge, *UNAVAILABLE),
)
async def put_data(
    session_id: SessionIdText,
    name: NameText,
    body: DataBody,
    user: CurrentUser,
    services: CurrentServices,
    ttl: Ttl = None,
) -> DataView:
    """Store one item; name a tool's result after the tool and a hash of its arguments."""
    session, data_name = SessionId(session_id), DataName(name)
    item = await services.session_data.write(user, session, data_name, body.value, ttl)
    return DataView.of(item)


@router.delete(
    "",
    operation_id="delete_data",
    summary="Delete session data",
    status_code=204,
    responses=error_responses(*UNAVAILABLE),
)
async def delete_data(
    session_id: SessionIdText, name: NameText, user: CurrentUser, services: CurrentServices
) -> None:
    """Delete one item. Deleting what does not exist succeeds."""
    await services.session_data.delete(user, SessionId(session_id), DataName(name))
