"""The chat model: any OpenAI-compatible address, through the openai package; Azure by managed identity."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncStream,
    BadRequestError,
    RateLimitError,
)
from openai.types.chat import ChatCompletionChunk

from shared.adapters.openai.client import UNUSABLE, ModelEndpoint
from shared.adapters.openai.replies import StreamedReply, filtered, read_completion, unavailable
from shared.domain.errors import InvalidRequest
from shared.domain.messages import Message
from shared.ports.models import ModelReply, ModelRequest
from shared.telemetry import names
from shared.telemetry.meter import current_meter
from shared.telemetry.spans import ModelCall, model_call

PATH = "/chat/completions"
MAX_NAME_CHARS = 64
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
MAX_RETRY_AFTER = 30.0  # seconds; a provider's hint of an hour is not passed on to a waiting person


@dataclass(frozen=True, slots=True)
class ChatDefaults:
    """The model that is asked where a request names none, and how many tokens an answer may have."""

    model: str
    max_completion_tokens: int


class OpenAIChat:
    """Asks the model once per turn: no retries of its own, since the caller's resend is free of risk."""

    name = "model"

    def __init__(self, endpoint: ModelEndpoint, defaults: ChatDefaults) -> None:
        """Make the client; it connects with its first call."""
        self._endpoint = endpoint
        self._defaults = defaults
        self._client = endpoint.connect()

    async def reply(self, request: ModelRequest) -> ModelReply:
        """The model's reply, checked: it says something, and it is not larger than a turn can hold."""
        with self._observed(request) as call:
            with _translated_errors(request):
                completion = await self._client.post(
                    PATH,
                    body=self._body(request),
                    cast_to=object,
                    options={"timeout": request.seconds},
                )
            return _counted(call, read_completion(completion))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelReply, None]:
        """The reply as it is written; a stream that ends without its last part is no reply."""
        collected = StreamedReply()
        with self._observed(request) as call, _translated_errors(request):
            async with asyncio.timeout(request.first_token_seconds) as patience:
                body = self._body(request) | {
                    "stream": True,
                    "stream_options": {"include_usage": True},
                }
                chunks = await self._client.post(
                    PATH,
                    body=body,
                    cast_to=ChatCompletionChunk,
                    stream=True,
                    stream_cls=AsyncStream[ChatCompletionChunk],
                )
                async with chunks:
                    async for chunk in chunks:
                        piece = collected.add(chunk)
                        if piece or collected.has_begun:
                            patience.reschedule(None)
                        if piece:
                            yield piece
            reply = _counted(call, collected.finish())
        yield reply

    async def ping(self) -> None:
        """List the models: cheap, and it needs the same address and credential as a reply."""
        await self._client.models.list(timeout=1)

    async def close(self) -> None:
        """Close the client. Twice is harmless."""
        await self._client.close()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        """What is sent. It goes past the SDK's typed methods, which walk every message for an eighth of their CPU."""
        body: dict[str, Any] = {
            "model": request.model or self._defaults.model,
            "messages": [_wire(message) for message in request.messages],
            "max_completion_tokens": self._defaults.max_completion_tokens,
        }
        if request.schema:
            named = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body | {"tools": list(request.tools)} if request.tools else body

    def _observed(self, request: ModelRequest) -> AbstractContextManager[ModelCall]:
        current_meter().model_calls += 1
        model = request.model or self._defaults.model
        return model_call(names.CHAT, self._endpoint.provider, model, self._endpoint.server)


def _counted(call: ModelCall, reply: ModelReply) -> ModelReply:
    """The reply, counted for telemetry and for the request's meter."""
    meter, usage = current_meter(), reply.usage
    meter.prompt_tokens += usage.prompt_tokens
    meter.completion_tokens += usage.completion_tokens
    call.answer(reply.finish_reason, usage.prompt_tokens, usage.completion_tokens)
    return reply


def _wire(message: Message) -> dict[str, Any]:
    """As providers take it. They refuse a whole request for one name with a blank, also one that was recorded so."""
    wire = message.model_dump(mode="json", exclude={"at"}, exclude_defaults=True)
    wire |= {"role": message.role, "content": message.content}
    if message.name:
        wire["name"] = _nameable(message.name)
    if message.tool_calls:
        wire["tool_calls"] = [
            call.model_dump()
            | {"function": call.function.model_dump() | {"name": _nameable(call.function.name)}}
            for call in message.tool_calls
        ]
    return wire


def _nameable(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)[:MAX_NAME_CHARS]


@contextmanager
def _translated_errors(request: ModelRequest) -> Iterator[None]:
    """Turn what the SDK raises, and what it lets through of answers that are none, into ours (F15-F17)."""
    try:
        yield
    except BadRequestError as refused:
        if refused.code == "content_filter":
            raise filtered() from refused
        if request.tools or str(refused.param).startswith(("messages", "tools")):
            message = "The model takes no such request, now or later: check tools and what they answered, or send less"
            raise InvalidRequest(message) from refused
        raise unavailable("The model refused the request as malformed") from refused
    except TimeoutError as late:
        raise unavailable("The model did not answer in time") from late
    except UNUSABLE as failed:
        raise unavailable(_describe(failed), _retry_after(failed)) from failed


def _describe(failed: Exception) -> str:
    if isinstance(failed, RateLimitError):
        return "The model has no capacity to spare"
    if isinstance(failed, APITimeoutError):
        return "The model did not answer in time"
    if isinstance(failed, APIConnectionError):
        return "The model could not be reached"
    return "The model did not give a usable answer"


def _retry_after(failed: Exception) -> float | None:
    if not isinstance(failed, APIStatusError):
        return None
    try:
        return min(MAX_RETRY_AFTER, float(failed.response.headers.get("retry-after", "")))
    except ValueError:
        return None
