"""The answers to the prompt `summarise.v1`: their schema, and a tolerant reader."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from shared.domain.summaries import MAX_SUMMARY_CHARS, MAX_TITLE_CHARS

PROMPT = "summarise.v1"
FIELDS = ("title", "summary")
MAX_OBJECTS = 20  # that are tried in an answer; a JSON object comes early, if there is one
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # escaped in JSON, so not replaced earlier


class InvalidAnswer(ValueError):
    """The answer has no JSON object with a summary; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class SummaryAnswer:
    """A model's title and summary, within their limits."""

    title: str | None
    summary: str


def read_answer(text: str) -> SummaryAnswer:
    """Read an answer, wherever the JSON object is in it: in a code fence, or after other text.

    Further keys are ignored, and texts that are too long are cut at a word.

    Raises:
        InvalidAnswer: there is no such object.
    """
    for found in _objects_in(text):
        summary = _text_of(found, "summary")
        if summary:
            title = " ".join(_text_of(found, "title").split())
            return SummaryAnswer(
                _cut(title, MAX_TITLE_CHARS) or None, _cut(summary, MAX_SUMMARY_CHARS)
            )
    raise InvalidAnswer("a JSON object with the fields title and summary")


def answer_schema() -> dict[str, JsonValue]:
    """The JSON schema of an answer for providers' strict mode, which does not support lengths."""
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in FIELDS},
        "required": list[JsonValue](FIELDS),
        "additionalProperties": False,
    }


def _objects_in(text: str) -> Iterator[dict[str, Any]]:
    decoder, position = json.JSONDecoder(), -1
    for _ in range(MAX_OBJECTS):
        position = text.find("{", position + 1)
        if position < 0:
            return
        try:
            found, _ = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found


def _text_of(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return _UNPRINTABLE.sub("", value).strip() if isinstance(value, str) else ""


def _cut(text: str, size: int) -> str:
    if len(text) <= size:
        return text
    kept = text[: size - 1]
    return f"{kept.rsplit(' ', 1)[0].rstrip() if ' ' in kept else kept}…"
