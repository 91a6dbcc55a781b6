"""The searchable text of a turn."""

from collections.abc import Sequence

from shared.domain.messages import Message

MAX_QUESTION_CHARS = 4000  # enough to find a pasted document
MAX_REPLY_CHARS = 500  # a longer part of the reply would outweigh the question
REPLY_PREFIX = "\nassistant: "


def search_text(messages: Sequence[Message]) -> str:
    """The user's message and the start of the reply: the text for keyword search."""
    reply = next((m.content for m in reversed(messages) if m.role == "assistant"), "")
    question = question_text(messages)
    return f"{question}{REPLY_PREFIX}{reply[:MAX_REPLY_CHARS]}" if reply else question


def question_text(messages: Sequence[Message]) -> str:
    """The user's message with date and speaker: the part of the search text that is embedded."""
    message = next((m for m in messages if m.role == "user"), messages[0])
    date = f"{message.at.day} {message.at:%B %Y}"
    speaker = message.name or message.role
    return f"[{date}] {speaker}: {message.content[:MAX_QUESTION_CHARS]}"
