"""The fields of requests: bounded types, and a base that refuses unknown fields."""

import re
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    Strict,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from shared.domain.ids import MAX_ID_BYTES
from shared.domain.messages import MAX_MESSAGE_BYTES

MAX_INSTRUCTIONS_BYTES = 16_384
MAX_NAME_CHARS = 200
RFC_3339 = re.compile(
    r"[1-9]\d{3}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Closed(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def too_large(limit: int) -> PydanticCustomError:
    """The error for a field beyond its limit in bytes; it becomes a 413."""
    return PydanticCustomError(
        "too_large", "This exceeds {limit} bytes; send less", {"limit": limit}
    )


def _bounded(limit: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text.encode()) > limit:
            raise too_large(limit)
        return text

    return AfterValidator(check)


def _only_text(at: object) -> object:
    if not isinstance(at, str) or not RFC_3339.fullmatch(at):
        raise PydanticCustomError(
            "datetime", "Write times as RFC 3339 with an offset: 2026-11-21T09:30:00Z"
        )
    return at


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as outside:
        raise PydanticCustomError(
            "datetime", "In UTC this is after the year 9999; send an earlier time"
        ) from outside


MessageText = Annotated[
    str,
    _bounded(MAX_MESSAGE_BYTES),
    Field(min_length=1, json_schema_extra={"maxLength": MAX_MESSAGE_BYTES}),
]
LongText = Annotated[
    str, _bounded(MAX_MESSAGE_BYTES), Field(json_schema_extra={"maxLength": MAX_MESSAGE_BYTES})
]
Instructions = Annotated[
    str,
    _bounded(MAX_INSTRUCTIONS_BYTES),
    Field(json_schema_extra={"maxLength": MAX_INSTRUCTIONS_BYTES}),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
ID_SCHEMA: dict[str, JsonValue] = {
    "minLength": 1,
    "maxLength": MAX_ID_BYTES,
    "pattern": r"^[^/\\?#]+$",
}
IdText = Annotated[str, Field(json_schema_extra=ID_SCHEMA)]  # domain/ids.py has the rule
SessionIdText = Annotated[
    str,
    Path(
        json_schema_extra=ID_SCHEMA,
        description="The caller's id of the session",
        examples=["monday"],
    ),
]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]  # "7" and true are not numbers
Instant = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_in_utc)]
