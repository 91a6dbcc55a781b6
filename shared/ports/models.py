"""Language models: one that answers, and one that embeds."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import JsonValue

from shared.domain.messages import Message, ToolCall
from shared.domain.turns import TokenUsage
from shared.domain.vectors import Vector


class TokenCounter(Protocol):
    """Counts tokens in the model's encoding."""

    def count(self, text: str) -> int:
        """Tokens of the text, as exactly as is known without waiting."""
        ...


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One call of a chat model. `model` None means the default model.

    `first_token_seconds` and `seconds` bound the first token and the whole reply. With a JSON
    schema the model is asked to follow it; the caller checks whether it did.
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, JsonValue]]
    model: str | None
    first_token_seconds: float
    seconds: float
    schema: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What the model said, or which tools it wants called.

    `thinking` is not part of the reply; `reasoning` has to be sent back with the tool calls.
    """

    text: str
    finish_reason: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: TokenUsage = field(default_factory=TokenUsage)
    thinking: str | None = None
    reasoning: str | None = None


class ChatModel(Protocol):
    """A chat model behind any OpenAI-compatible endpoint.

    Both methods raise ContentFiltered if the provider refuses the prompt or the completion,
    InvalidRequest if it rejects these tools or messages, CompletionLimitReached if the model
    spent its tokens without an answer, and ModelUnavailable if there is no usable answer in time.
    """

    async def reply(self, request: ModelRequest) -> ModelReply:
        """The model's whole reply."""
        ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelReply, None]:
        """The text of the reply as the model writes it, and finally the whole reply."""
        ...


class EmbedderUnavailable(Exception):
    """No usable vectors came back; their consumers do without them and catch up later."""


class Embedder(Protocol):
    """An embedding model behind any OpenAI-compatible endpoint."""

    @property
    def model(self) -> str:
        """The model's name, which its vectors carry."""
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Vector]:
        """Embed each text, in order, with one call of the model.

        Raises:
            EmbedderUnavailable: no answer in time, or not one vector per text.
        """
        ...
