"""Replies of a chat model, whole or streamed, read tolerantly and checked as untrusted input."""

from shared.adapters.openai.json_reader import (
    content_of,
    count_in,
    object_in,
    objects_in,
    text_in,
    text_size,
)
from shared.adapters.openai.thinking import ThinkingFilter
from shared.adapters.openai.tool_calls import ToolCallCollector
from shared.domain.errors import (
    CompletionLimitReached,
    ContentFiltered,
    ModelUnavailable,
    PromptFiltered,
)
from shared.domain.text import storable
from shared.domain.turns import MAX_REPLY_BYTES, TokenUsage
from shared.ports.models import ModelReply

DEFAULT_RETRY_AFTER = 2.0  # seconds
MAX_THINKING_BYTES = 32_768  # stored with a reply; the rest is dropped


def read_completion(completion: object) -> ModelReply:
    """Read the reply from a completion, which is parsed JSON.

    Raises:
        ContentFiltered, CompletionLimitReached, ModelUnavailable: see the port.
    """
    choices = objects_in(completion, "choices")
    if not choices:
        raise unavailable("The model's response has no choices")
    reply, message = StreamedReply(), object_in(choices[0], "message")
    calls = [
        {**call, "index": place} for place, call in enumerate(objects_in(message, "tool_calls"))
    ]
    reply.add({"choices": [{**choices[0], "delta": {**message, "tool_calls": calls}}]})
    reply.add({"usage": object_in(completion, "usage")})
    return reply.finish(whole=True)


class StreamedReply:
    """Assembles a reply from its chunks, each of which is parsed JSON of any shape."""

    def __init__(self) -> None:
        self._thinking = ThinkingFilter()
        self._text: list[str] = []
        self._half = ""  # the first half of a character that two chunks share
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls = ToolCallCollector()
        self._bytes = 0
        self._finish_reason = ""
        self._usage = TokenUsage()

    @property
    def has_started(self) -> bool:
        """Whether the model has said, thought or called anything yet."""
        return self._bytes > 0 or bool(self._calls)

    def add(self, chunk: object) -> str:
        """Add a chunk and return its part of the reply's text, which is often empty.

        Raises:
            ModelUnavailable: the reply exceeds the size of a turn.
        """
        self._usage = _usage_of(chunk) or self._usage
        choices = objects_in(chunk, "choices")
        if not choices:
            return ""
        delta = object_in(choices[0], "delta")
        self._finish_reason = text_in(choices[0], "finish_reason") or self._finish_reason
        reasoning = text_in(delta, "reasoning_content") or text_in(delta, "reasoning")
        self._reasoning.append(reasoning)
        self._refusal.append(text_in(delta, "refusal"))
        self._bytes += self._calls.add(objects_in(delta, "tool_calls"))
        content = content_of(delta)
        self._bytes += sum(map(text_size, (content, reasoning, self._refusal[-1])))
        if self._bytes > MAX_REPLY_BYTES:
            raise unavailable("The model's reply exceeds the size of a turn")
        return self._keep(self._thinking.add(self._join(content)))

    def finish(self, *, whole: bool = False) -> ModelReply:
        """The whole reply; `whole` if it did not come in chunks, where a reason may be missing.

        Raises:
            ContentFiltered, CompletionLimitReached, ModelUnavailable: see the port.
        """
        self._keep(self._thinking.finish())
        refusal = storable("".join(self._refusal))
        if self._finish_reason == "content_filter" or refusal:
            raise filtered(refusal)
        if not self._finish_reason and not whole:
            raise unavailable("The model's stream ended early")
        text, calls = "".join(self._text), self._calls.finish()
        if not text and not calls:
            raise _empty(self._finish_reason)
        reasoning = storable("".join(self._reasoning))
        return ModelReply(
            text,
            self._finish_reason or "stop",
            calls,
            self._usage,
            thinking=_bounded(storable(self._thinking.thinking) or reasoning),
            reasoning=_bounded(reasoning) if calls else None,
        )

    @property
    def rest(self) -> str:
        """Text that `finish` added: it is part of the reply, but of no chunk."""
        return self._text[-1] if self._text else ""

    def _keep(self, text: str) -> str:
        kept = storable(text)
        self._text.append(kept)
        return kept

    def _join(self, content: str) -> str:
        """Hold back half a character until the chunk with its other half arrives."""
        joined, self._half = self._half + content, ""
        if joined and "\ud800" <= joined[-1] <= "\udbff":
            joined, self._half = joined[:-1], joined[-1]
        return joined


def unavailable(what: str, retry_after: float | None = None) -> ModelUnavailable:
    """The error for every failure of a model; `what` happened is the start of its message."""
    message = f"{what}; nothing is stored, send the same request again"
    return ModelUnavailable(message, retry_after=retry_after or DEFAULT_RETRY_AFTER)


def prompt_filtered() -> PromptFiltered:
    """The error for a prompt that the provider's filter refuses."""
    return PromptFiltered("The model's provider refused the prompt")


def filtered(refusal: str = "") -> ContentFiltered:
    """The error for every refusal, by a provider's filter or by the model, with its text."""
    return ContentFiltered(
        "The model's provider refused this message and the turn is stored as refused; "
        "rephrase it in a new turn",
        refusal=refusal,
    )


def _empty(finish_reason: str) -> CompletionLimitReached | ModelUnavailable:
    if finish_reason == "length":
        return CompletionLimitReached(
            "The model used all its completion tokens before it answered; retrying will not help: "
            "raise MAX_COMPLETION_TOKENS"
        )
    return unavailable("The model's reply is empty")


def _usage_of(chunk: object) -> TokenUsage | None:
    usage = object_in(chunk, "usage")
    if not usage:
        return None
    return TokenUsage(
        prompt_tokens=count_in(usage, "prompt_tokens"),
        completion_tokens=count_in(usage, "completion_tokens"),
        cached_tokens=count_in(object_in(usage, "prompt_tokens_details"), "cached_tokens"),
    )


def _bounded(text: str) -> str | None:
    return text.encode()[:MAX_THINKING_BYTES].decode(errors="ignore") or None
