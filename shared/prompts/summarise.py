"""What the prompt `summarise.v1` asks for and must be answered with."""

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
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # in JSON escaped, and so not seen before


def _printable(text: object) -> object:
    return _UNPRINTABLE.sub("", text) if isinstance(text, str) else text


def _one_line(text: str) -> str:
    return " ".join(text.split())


_Text = Annotated[str, BeforeValidator(_printable)]


class SummaryAnswer(BaseModel):
    """A model's answer; anything else is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    title: Annotated[
        _Text,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE_CHARS),
        AfterValidator(_one_line),
    ]
    summary: Annotated[
        _Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_SUMMARY_CHARS)
    ]


def answer_schema() -> dict[str, JsonValue]:
    """Its JSON schema as providers take it in strict mode, which knows no lengths: those are judged by us."""
    fields = list(SummaryAnswer.model_fields)
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in fields},
        "required": list[JsonValue](fields),
        "additionalProperties": False,
    }
