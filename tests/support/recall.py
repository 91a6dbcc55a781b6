"""What the tests of recall say, ask, and look at."""

from typing import Any

BIKE = "My racing bicycle is painted turquoise"
ASKED = "What colour is the bicycle again?"


def recalled(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """What an answer says it was given of earlier turns."""
    return [entry for entry in answer["context"] if entry["section"] == "recalled_turns"]
