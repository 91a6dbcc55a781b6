"""The output schema of the prompt `summarise.v1`."""

import re
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    StringConstraints,
)

from shared.domain.summaries import MAX_SUMMARY_CHARS, MAX_TITLE_CHARS

PROMPT = "summarise.v1"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # escaped in JSON, so not replaced earlier


def _remove_unprintable(text: object) -> object:
    return _UNPRINTABLE.sub("", text) if isinstance(text, str) else text


def _join_lines(text: str) -> str:
    return " ".join(text.split())


_Text = Annotated[str, BeforeValidator(_remove_unprintable)]


class SummaryAnswer(BaseModel):
    """A model's answer; anything else is rejected."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    title: Annotated[
        _Text,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE_CHARS),
        AfterValidator(_join_lines),
    ]
    summary: Annotated[
        _Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_SUMMARY_CHARS)
    ]


def answer_schema() -> dict[str, JsonValue]:
    """The JSON schema of an answer for providers' strict mode.

    Strict mode does not support lengths; SummaryAnswer checks them.
    """
    fields = list(SummaryAnswer.model_fields)
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in fields},
        "required": list[JsonValue](fields),
        "additionalProperties": False,
    }
