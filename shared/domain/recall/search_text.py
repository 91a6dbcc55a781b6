"""The text that a turn is found by."""

from collections.abc import Sequence

from shared.domain.messages import Message

MAX_QUESTION_CHARS = 4000  # a pasted document is found by its beginning
MAX_REPLY_CHARS = 500  # more of an answer drowns the question it belongs to
REPLY_PREFIX = "\nassistant: "


def search_text(messages: Sequence[Message]) -> str:
    """What the user said, then the beginning of the reply: the text that keyword search reads."""
    reply = next((m.content for m in reversed(messages) if m.role == "assistant"), "")
    question = question_text(messages)
    return f"{question}{REPLY_PREFIX}{reply[:MAX_REPLY_CHARS]}" if reply else question


def question_text(messages: Sequence[Message]) -> str:
    """What the user said, with date and speaker: the part of the search text that is embedded."""
    said = next((m for m in messages if m.role == "user"), messages[0])
    speaker = said.name or said.role
    return f"[{said.at.day} {said.at:%B %Y}] {speaker}: {said.content[:MAX_QUESTION_CHARS]}"
