"""The searchable text of a turn."""

from collections.abc import Sequence
from datetime import tzinfo

from shared.domain.dates import date_text
from shared.domain.messages import Message

MAX_QUESTION_CHARS = 4000  # enough to find a pasted document
MAX_REPLY_CHARS = 500  # a longer part of the reply would outweigh the question
REPLY_PREFIX = "\nassistant: "


def search_text(messages: Sequence[Message], zone: tzinfo) -> str:
    """The user's message and the start of the reply: the text for keyword search."""
    reply = next((m.content for m in reversed(messages) if m.role == "assistant"), "")
    question = question_text(messages, zone)
    return f"{question}{REPLY_PREFIX}{reply[:MAX_REPLY_CHARS]}" if reply else question


def question_text(messages: Sequence[Message], zone: tzinfo) -> str:
    """The user's message with date and speaker: the part of the search text that is embedded.

    The date is that of the message in the user's time zone.
    """
    message = next((m for m in messages if m.role == "user"), messages[0])
    speaker = message.name or message.role
    return f"[{date_text(message.at, zone)}] {speaker}: {message.content[:MAX_QUESTION_CHARS]}"
