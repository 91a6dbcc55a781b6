"""Replies of a chat model, validated as untrusted input."""

import re

from openai.types.chat import ChatCompletionChunk
from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCallFunction
from openai.types.completion_usage import CompletionUsage
from pydantic import ValidationError

from shared.adapters.openai.client import Lenient
from shared.domain.errors import ContentFiltered, ModelUnavailable
from shared.domain.messages import FunctionCall, ToolCall
from shared.domain.turns import MAX_REPLY_BYTES, TokenUsage
from shared.ports.models import ModelReply

DEFAULT_RETRY_AFTER = 2.0  # seconds
# NUL cannot be stored; the other control characters take six bytes each in JSON.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def read_completion(completion: object) -> ModelReply:
    """Read the reply from a completion, which is parsed JSON.

    Raises:
        ContentFiltered, ModelUnavailable: see the port.
    """
    try:
        return _reply_of(_Completion.model_validate(completion))
    except ValidationError as invalid:
        raise unavailable("The model's response is not a chat completion") from invalid


def _reply_of(completion: "_Completion") -> ModelReply:
    if not completion.choices:
        raise unavailable("The model's response has no choices")
    choice = completion.choices[0]
    calls = tuple(
        _tool_call(call.id, call.function.name, call.function.arguments)
        for call in choice.message.tool_calls or ()
    )
    return _check(
        choice.message.content or "", calls, choice.finish_reason or "stop", completion.usage
    )


class _Function(Lenient):
    name: str
    arguments: str


class _Call(Lenient):
    id: str
    function: _Function


class _Message(Lenient):
    content: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(Lenient):
    message: _Message
    finish_reason: str | None = None


class _Usage(Lenient):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(Lenient):
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None


class StreamedReply:
    """Assembles a reply from its chunks."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._bytes = 0
        self._calls: dict[int, list[str]] = {}
        self._finish_reason: str | None = None
        self._usage: CompletionUsage | None = None

    @property
    def has_started(self) -> bool:
        """Whether any text or tool call has arrived."""
        return self._bytes > 0 or bool(self._calls)

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Add a chunk and return its text, which is often empty.

        Raises:
            ModelUnavailable: the reply exceeds the size of a turn.
        """
        self._usage = chunk.usage or self._usage
        for choice in (chunk.choices or ())[:1]:
            self._finish_reason = choice.finish_reason or self._finish_reason
            for call in choice.delta.tool_calls or ():
                parts = self._calls.setdefault(call.index, ["", "", ""])
                function = call.function or ChoiceDeltaToolCallFunction()
                added = (call.id, function.name, function.arguments)
                parts[:] = [known + (new or "") for known, new in zip(parts, added, strict=True)]
            delta = _storable(choice.delta.content or "")
            self._text.append(delta)
            self._bytes += len(delta.encode())
            if self._bytes > MAX_REPLY_BYTES:
                raise unavailable("The model's reply exceeds the size of a turn")
            return delta
        return ""

    def finish(self) -> ModelReply:
        """The whole reply.

        Raises:
            ContentFiltered, ModelUnavailable: see the port.
        """
        if self._finish_reason is None:
            raise unavailable("The model's stream ended early")
        calls = tuple(_tool_call(*parts) for _, parts in sorted(self._calls.items()))
        return _check("".join(self._text), calls, self._finish_reason, self._usage)


def unavailable(what: str, retry_after: float | None = None) -> ModelUnavailable:
    """The error for every failure of a model; `what` happened is the start of its message."""
    message = f"{what}; nothing is stored, send the same request again"
    return ModelUnavailable(message, retry_after=retry_after or DEFAULT_RETRY_AFTER)


def filtered() -> ContentFiltered:
    """The error for every refusal by a provider's content filter."""
    return ContentFiltered(
        "The model's provider refused this message and the turn is stored as refused; "
        "rephrase it in a new turn"
    )


def _check(
    text: str, calls: tuple[ToolCall, ...], reason: str, usage: CompletionUsage | _Usage | None
) -> ModelReply:
    if reason == "content_filter":
        raise filtered()
    if not text and not calls:
        raise unavailable("The model's reply is empty")
    parts = [
        text,
        *(
            part
            for call in calls
            for part in (call.id, call.function.name, call.function.arguments)
        ),
    ]
    if sum(len(part.encode(errors="replace")) for part in parts) > MAX_REPLY_BYTES:
        raise unavailable("The model's reply exceeds the size of a turn")
    counted = (
        TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)
        if usage
        else None
    )
    return ModelReply(_storable(text), reason, calls, counted or TokenUsage())


def _tool_call(call_id: str, name: str, arguments: str) -> ToolCall:
    function = FunctionCall(name=_storable(name), arguments=_storable(arguments))
    return ToolCall(id=_storable(call_id), function=function)


def _storable(text: str) -> str:
    """Replace characters that cannot be stored: model output is untrusted."""
    return _UNPRINTABLE.sub("\ufffd", text).encode(errors="replace").decode()
