"""What the prompt `summarise.v1` asks for and must be answered with."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints

from shared.domain.summaries import MAX_SUMMARY_CHARS, MAX_TITLE_CHARS

PROMPT = "summarise.v1"


class SummaryAnswer(BaseModel):
    """A model's answer; anything else is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TITLE_CHARS)]
    summary: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_SUMMARY_CHARS)]


def answer_schema() -> dict[str, JsonValue]:
    """Its JSON schema as providers take it in strict mode, which knows no lengths: those are judged by us."""
    fields = list(SummaryAnswer.model_fields)
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in fields},
        "required": list[JsonValue](fields),
        "additionalProperties": False,
    }
