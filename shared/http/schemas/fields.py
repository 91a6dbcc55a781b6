"""The fields of requests: bounded types, and a base that refuses unknown fields."""

import re
from datetime import datetime, timedelta, timezone
from typing import Annotated, Any, ClassVar

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    JsonValue,
    Strict,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from shared.domain.ids import MAX_ID_BYTES
from shared.domain.messages import MAX_MESSAGE_BYTES

MAX_INSTRUCTIONS_BYTES = 16_384
MAX_NAME_CHARS = 200
FIRST_ZONE = timezone(timedelta(hours=14))  # where every day starts first
MAX_PARTS = 100  # of one message
MAX_KIND_CHARS = 64  # of the type of a part
RFC_3339 = re.compile(
    r"[1-9]\d{3}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


class Closed(BaseModel):
    """A request body: unknown fields are refused, and null in an optional field means absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    ignored: ClassVar[frozenset[str]] = frozenset()  # fields that clients send and nobody needs

    @model_validator(mode="before")
    @classmethod
    def _drop_absent(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {
            name: value
            for name, value in given.items()
            if name not in cls.ignored and (value is not None or cls._keeps_null(name))
        }

    @classmethod
    def _keeps_null(cls, name: str) -> bool:
        return name in cls.model_fields and cls.model_fields[name].is_required()

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the API document that optional fields may be null."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        for name, field in schema.get("properties", {}).items():
            if name not in schema.get("required", ()) and not _allows_null(field):
                schema["properties"][name] = {"anyOf": [field, {"type": "null"}]}
        return schema


class MergePatch(Closed):
    """A JSON merge patch (RFC 7396), where null removes a field."""

    @classmethod
    def _keeps_null(cls, name: str) -> bool:  # noqa: ARG003 - any field may be removed
        return True


def _allows_null(field: dict[str, Any]) -> bool:
    return any(option == {"type": "null"} for option in field.get("anyOf", ())) or not (
        field.keys() & {"type", "$ref", "anyOf", "allOf"}
    )


def _join_parts(content: object) -> object:
    """The text of content that is a list of parts, as chat APIs take it; files become a marker."""
    if not isinstance(content, list):
        return content
    if len(content) > MAX_PARTS:
        message = "This has more than {limit} parts; send fewer"
        raise PydanticCustomError("content_parts", message, {"limit": MAX_PARTS})
    return "\n".join(map(_text_of_part, content))


def _text_of_part(part: object) -> str:
    given = part if isinstance(part, dict) else {}
    kind, text = given.get("type"), given.get("text")
    if isinstance(kind, str) and len(kind) <= MAX_KIND_CHARS:
        if isinstance(text, str):
            return text
        if text is None and "text" not in kind:
            return f"[{kind.partition('_')[0].removeprefix('input_')}]"
    raise PydanticCustomError(
        "content_parts",
        'Send text, or a list of parts such as {{"type": "text", "text": "Hi"}}',
    )


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


def _in_any_zone(at: datetime) -> datetime:
    """Keep the offset; the time must exist in every time zone, because a user may be in any."""
    try:
        at.astimezone(FIRST_ZONE)
    except OverflowError as outside:
        raise PydanticCustomError(
            "datetime", "In some time zones this is after the year 9999; send an earlier time"
        ) from outside
    return at


def _content(least: int) -> WithJsonSchema:
    text: dict[str, JsonValue] = {
        "type": "string", "minLength": least, "maxLength": MAX_MESSAGE_BYTES,
    }  # fmt: skip
    part: dict[str, JsonValue] = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "maxLength": MAX_KIND_CHARS},
            "text": {"type": ["string", "null"], "maxLength": MAX_MESSAGE_BYTES},
        },
        "required": ["type"],
    }
    parts: dict[str, JsonValue] = {"type": "array", "maxItems": MAX_PARTS, "items": part}
    return WithJsonSchema({"anyOf": [text, parts]})


LongText = Annotated[
    str, _bounded(MAX_MESSAGE_BYTES), Field(json_schema_extra={"maxLength": MAX_MESSAGE_BYTES})
]
MessageContent = Annotated[
    str,
    BeforeValidator(_join_parts),
    StringConstraints(min_length=1),
    _bounded(MAX_MESSAGE_BYTES),
    _content(1),
]
LongContent = Annotated[str, BeforeValidator(_join_parts), _bounded(MAX_MESSAGE_BYTES), _content(0)]
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
        description="The caller's id of the session, never decoded: encode / as ~2F, for example",
        examples=["monday"],
    ),
]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]  # "7" and true are not numbers
Instant = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_in_any_zone)]
