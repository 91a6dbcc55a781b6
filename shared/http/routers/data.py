"""Session data: JSON values by name, such as results of tools."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from shared.domain import errors
from shared.domain.ids import DataName, SessionId
from shared.http.dependencies import CurrentServices
from shared.http.errors import error_responses
from shared.http.paging import Cursor, Limit, next_link, read_cursor
from shared.http.principal import CurrentUser
from shared.http.schemas.data import DataBody, DataEntryView, DataPage, DataView
from shared.http.schemas.fields import ID_SCHEMA, SessionIdText
from shared.http.strict_json import StrictRoute

router = APIRouter(tags=["sessions"], route_class=StrictRoute, prefix="/sessions/{session_id}/data")
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
    operation_id="list_data",
    summary="List session data",
    response_model_exclude_none=True,
    responses=error_responses(errors.NotFound, *UNAVAILABLE),
)
async def list_data(
    session_id: SessionIdText,
    user: CurrentUser,
    services: CurrentServices,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> DataPage:
    """Return the names, sizes and expiry of the session's data, without the values."""
    session = SessionId(session_id)
    after = DataName(read_cursor(cursor, {"name": str})["name"]) if cursor else None
    entries = await services.session_data.list(user, session, after, limit)
    page = DataPage(value=[DataEntryView.of(entry) for entry in entries])
    if len(entries) == limit:
        path, place = f"/api/sessions/{session.value}/data", {"name": entries[-1].name.value}
        page.next_link = next_link(path, limit, place)
    return page


@router.get(
    "/{name}",
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
    "/{name}",
    operation_id="put_data",
    summary="Store session data",
    responses=error_responses(errors.TooLarge, errors.StoreFull, *UNAVAILABLE),
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
    "/{name}",
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
