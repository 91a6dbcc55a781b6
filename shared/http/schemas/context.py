"""A context pack on the wire."""

from typing import Annotated, Self

from pydantic import BaseModel, Field

from shared.domain.context import ContextEntry, estimate_tokens
from shared.domain.turns import Message
from shared.http.schemas.chat import ContextView
from shared.http.schemas.fields import Closed, IdText, MessageText, Whole
from shared.http.schemas.turns import SentMessage
from shared.services.contexts import Given


class ContextBody(Closed):
    """A message that somebody else's model will answer; of a `session_id` the newest turns are packed, too."""

    message: MessageText
    session_id: IdText | None = None
    budget_tokens: Annotated[Whole, Field(ge=0, le=16_000)] | None = None
    history_tokens: Annotated[Whole, Field(ge=0, le=200_000)] | None = None


class PackedView(ContextView):
    """One thing in the pack, and why; `tokens` as estimated, bytes / 4."""

    tokens: int | None = None

    @classmethod
    def of(cls, entry: ContextEntry) -> Self:
        """The entry on the wire."""
        view = super().of(entry)
        view.tokens = None if entry.text is None else estimate_tokens(entry.text)
        return view


class ContextPack(BaseModel):
    """The messages to send, the given one last, below the caller's own system message; and what they are made of."""

    messages: list[SentMessage]
    context: list[PackedView]
    tokens: int = Field(description="Of all messages, as estimated: bytes / 4")
    degraded: list[str]

    @classmethod
    def of(cls, given: Given) -> Self:
        """The pack on the wire."""
        messages = given.prompt.messages
        return cls(
            messages=[SentMessage.of(message) for message in messages],
            context=[PackedView.of(entry) for entry in given.prompt.context],
            tokens=sum(_tokens_of(message) for message in messages),
            degraded=list(given.degraded),
        )


def _tokens_of(message: Message) -> int:
    return sum(estimate_tokens(text) for text in message.texts if text)
