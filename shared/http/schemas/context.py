"""A context preview on the wire."""

from typing import Annotated, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.ids import SessionId, TurnId, UserId
from shared.domain.messages import Message
from shared.domain.prompt import ContextEntry
from shared.domain.tokens import estimate_tokens
from shared.http.schemas.chat import ContextView
from shared.http.schemas.fields import Closed, IdText, MessageContent, Whole
from shared.http.schemas.messages import PromptMessage
from shared.services.turns import ChatRequest, Context
from shared.settings import Settings


class ContextBody(Closed):
    """A message that the caller's own model will answer, in a session or in a new one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"message": "What frightens my pet?"}]}
    )

    message: MessageContent
    session_id: IdText | None = None
    budget_tokens: Annotated[Whole, Field(ge=0, le=16_000)] | None = None
    history_tokens: Annotated[Whole, Field(ge=0, le=200_000)] | None = None

    def to_request(self, user: UserId, settings: Settings) -> ChatRequest:
        """The chat turn whose context is previewed.

        Raises:
            InvalidId: the session id is not valid.
        """
        history, memory = self.history_tokens, self.budget_tokens
        return ChatRequest(
            user=user,
            session=SessionId(uuid4().hex if self.session_id is None else self.session_id),
            turn_id=TurnId(uuid4().hex),
            message=self.message,
            history_tokens=settings.history_tokens if history is None else history,
            memory_tokens=settings.memory_tokens if memory is None else memory,
        )


class ContextItemView(ContextView):
    """One thing in the context, and why; `tokens` is an estimate, bytes / 4."""

    tokens: int | None = None

    @classmethod
    def of(cls, entry: ContextEntry) -> Self:
        """Render the entry."""
        view = super().of(entry)
        view.tokens = None if entry.text is None else estimate_tokens(entry.text)
        return view


class ContextAnswer(BaseModel):
    """The messages to send below your own system message, the given one last, and their sources."""

    messages: list[PromptMessage]
    context: list[ContextItemView]
    tokens: int = Field(description="Of all messages; an estimate, bytes / 4")
    degraded: list[str]

    @classmethod
    def of(cls, context: Context) -> Self:
        """Render the context."""
        messages = context.prompt.messages
        return cls(
            messages=[PromptMessage.of(message) for message in messages],
            context=[ContextItemView.of(entry) for entry in context.prompt.context],
            tokens=sum(_tokens_of(message) for message in messages),
            degraded=list(context.degraded),
        )


def _tokens_of(message: Message) -> int:
    return sum(estimate_tokens(text) for text in message.texts if text)
