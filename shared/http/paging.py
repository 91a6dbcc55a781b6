"""Pages: a limit, an opaque cursor that says a place (never whose), a link to what follows."""

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
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most")]
Cursor = Annotated[
    str | None, Query(max_length=1000, description="From a next_link; do not make one")
]


def write_cursor(place: Mapping[str, str | int]) -> str:
    """The cursor of a place."""
    return (
        base64.urlsafe_b64encode(json.dumps(dict(place), separators=(",", ":")).encode())
        .decode()
        .rstrip("=")
    )


def read_cursor(cursor: str, names: Mapping[str, type[Value]]) -> dict[str, Value]:
    """The place a cursor says.

    Raises:
        InvalidRequest: it is not a cursor of this list.
    """
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        place = None
    if not isinstance(place, dict) or place.keys() != names.keys():
        raise InvalidRequest("The cursor is not from a next_link of this list", target="cursor")
    if not all(
        type(place[name]) is kind and _is_exact(place[name]) for name, kind in names.items()
    ):
        raise InvalidRequest("The cursor is not from a next_link of this list", target="cursor")
    return place


def _is_exact(value: str | int) -> bool:
    return isinstance(value, str) or abs(value) <= MAX_EXACT_INTEGER


def next_link(path: str, limit: int, place: Mapping[str, str | int]) -> str:
    """A relative link: only the caller knows by which address we are reached."""
    return f"{quote(path)}?{urlencode({'limit': limit, 'cursor': write_cursor(place)})}"
