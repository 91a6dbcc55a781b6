"""The model that answers, and its tokens."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from shared.domain.turns import Message, TokenUsage, ToolCall


class TokenCount(Protocol):
    """Counts the tokens of the model's encoding."""

    def count(self, text: str) -> int:
        """How many tokens the text is, as exactly as is known without waiting."""
        ...


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of the model. `model` None is the default one; the seconds bound the first token and the whole reply.

    With a JSON schema the reply is asked to fit it; whether it does is for the caller to see.
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, JsonValue]]
    model: str | None
    first_token_seconds: float
    seconds: float
    schema: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What the model said, or which tools it wants called."""

    text: str
    finish_reason: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: TokenUsage = TokenUsage()  # noqa: RUF009 - frozen


class ChatModel(Protocol):
    """A chat model behind any OpenAI-compatible address.

    Both ways raise ContentFiltered when the provider refuses the prompt or the completion, InvalidRequest when it takes
    no request with these tools or messages, and ModelUnavailable when there is no usable answer in time.
    """

    async def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply, whole."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatReply, None]:
        """The reply's text piece by piece as the model writes it, and at last the whole reply."""
        ...
