"""Texts for tests of recall, and a way to read the result."""

from typing import Any

BIKE = "My racing bicycle is painted turquoise"
ASKED = "What colour is the bicycle again?"


def recalled(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The recalled turns in an answer's context."""
    return [entry for entry in answer["context"] if entry["section"] == "recalled_turns"]
