"""Paging: a limit, an opaque cursor, and a link to the next page."""

import base64
import json
from collections.abc import Mapping
from typing import Annotated, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Query

from shared.domain.errors import InvalidRequest
from shared.http.strict_json import MAX_EXACT_INTEGER

Value = TypeVar("Value", str, int)

MAX_PAGE = 100
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="The maximum number of items")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="Taken from a `next_link`; opaque")
]


def write_cursor(place: Mapping[str, str | int]) -> str:
    """Write the cursor of a position in a list; it does not identify the user."""
    raw = json.dumps(dict(place), separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_cursor(cursor: str, names: Mapping[str, type[Value]]) -> dict[str, Value]:
    """Read the position from a cursor; `names` are its fields and their types.

    Raises:
        InvalidRequest: the cursor does not have exactly these fields.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        place = None
    if not isinstance(place, dict) or place.keys() != names.keys():
        raise _invalid()
    if not all(
        type(place[name]) is kind and _is_exact(place[name]) for name, kind in names.items()
    ):
        raise _invalid()
    return place


def _invalid() -> InvalidRequest:
    return InvalidRequest(
        "This is not a cursor of this list; take it from a next_link of the list", target="cursor"
    )


def _is_exact(value: str | int) -> bool:
    return isinstance(value, str) or abs(value) <= MAX_EXACT_INTEGER


def next_link(path: str, limit: int, place: Mapping[str, str | int]) -> str:
    """The link to the next page; relative, as only the caller knows the API's public address."""
    return f"{quote(path)}?{urlencode({'limit': limit, 'cursor': write_cursor(place)})}"
