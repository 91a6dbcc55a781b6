"""The chat model, behind any OpenAI-compatible endpoint."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncStream,
    RateLimitError,
)

from shared.adapters.openai.client import CALL_FAILURES, REJECTIONS, ModelEndpoint
from shared.adapters.openai.dialect import Dialect
from shared.adapters.openai.replies import (
    StreamedReply,
    prompt_filtered,
    read_completion,
    unavailable,
)
from shared.domain.errors import InvalidRequest
from shared.domain.messages import Message, ToolCall
from shared.domain.spending import Spending
from shared.ports.models import ModelReply, ModelRequest
from shared.telemetry import names
from shared.telemetry.meter import current_meter
from shared.telemetry.spans import ModelCall, model_call

PATH = "/chat/completions"
CONTENT_FILTER = "content_filter"  # the code of a refusal
OPTIONAL = frozenset({"max_completion_tokens", "stream_options", "response_format"})
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
MAX_NAME_CHARS = 64
MAX_RETRY_AFTER = 30.0  # seconds; a provider's longer hint is not passed on to a waiting user
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class ChatDefaults:
    """The model for requests that name none, and the limit of completion tokens for all."""

    model: str
    max_completion_tokens: int


class OpenAIChat:
    """Calls the model without retries: the caller can resend the turn safely."""

    name = "model"

    def __init__(self, endpoint: ModelEndpoint, defaults: ChatDefaults) -> None:
        """Create the client; it connects on the first call."""
        self._endpoint = endpoint
        self._defaults = defaults
        self._client = endpoint.connect()
        self._dialect = Dialect(OPTIONAL)

    async def reply(self, request: ModelRequest) -> ModelReply:
        """The model's reply, which is not empty and fits into a turn.

        Raises:
            ContentFiltered, InvalidRequest, ModelUnavailable: see the port.
        """
        with self._observe(request) as call, _translate_errors(request):
            completion = await self._post(
                self._body(request), cast_to=object, options={"timeout": request.seconds}
            )
            return _count(call, read_completion(completion))

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelReply, None]:
        """The text of the reply as it is written, and finally the whole reply.

        Raises:
            ContentFiltered, InvalidRequest, ModelUnavailable: see the port; also if the stream
                ends early.
        """
        collected = StreamedReply()
        with self._observe(request) as call, _translate_errors(request):
            async with asyncio.timeout(request.first_token_seconds) as first_token:
                body = self._body(request) | STREAMED
                chunks = await self._post(
                    body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
                )
                async with chunks:
                    async for chunk in chunks:
                        delta = collected.add(chunk)
                        if collected.has_started:
                            first_token.reschedule(None)
                        if delta:
                            yield delta
            reply = _count(call, collected.finish())
        if collected.rest:
            yield collected.rest
        yield reply

    async def ping(self) -> None:
        """List the models: cheap, and it tests the endpoint and the credential."""
        await self._client.models.list(timeout=1)

    async def close(self) -> None:
        """Close the client. Idempotent."""
        await self._client.close()

    async def _post(self, body: dict[str, Any], **options: Any) -> Any:
        """Send a request; once more in the provider's dialect if it rejects a parameter.

        What a worker has learned about its provider holds from then on. A rejection that names no
        parameter may be about structured output: then it is left out, this time only.
        """
        while True:
            try:
                return await self._client.post(PATH, body=self._dialect.apply(body), **options)
            except REJECTIONS as refused:
                if refused.code == CONTENT_FILTER:
                    raise
                if self._dialect.learn(body, str(refused.param or refused.message)):
                    continue
                if "response_format" not in body:
                    raise
                body = {name: body[name] for name in body if name != "response_format"}

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        """The request body.

        Built here because the SDK's typed methods also transform every message, which takes an
        eighth of their CPU time.
        """
        body: dict[str, Any] = {
            "model": request.model or self._defaults.model,
            "messages": _render(request.messages),
            "max_completion_tokens": self._defaults.max_completion_tokens,
        }
        if request.schema:
            schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body | {"tools": list(request.tools)} if request.tools else body

    def _observe(self, request: ModelRequest) -> AbstractContextManager[ModelCall]:
        current_meter().spend(Spending(model_calls=1))
        model = request.model or self._defaults.model
        return model_call(names.CHAT, self._endpoint.provider, model, self._endpoint.server)


def _count(call: ModelCall, reply: ModelReply) -> ModelReply:
    """Count the reply's tokens for telemetry and on the request's meter; returns the reply."""
    usage = reply.usage
    current_meter().spend(Spending(**usage.model_dump()))
    call.record_answer(reply.finish_reason, usage.prompt_tokens, usage.completion_tokens)
    return reply


def _render(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages in the provider's format, with valid names and the provider's own ids.

    Providers reject a whole request if one name in it, for example of a recorded turn, contains
    a space.
    """
    ids = {call.id: call.provider_id or call.id for m in messages for call in m.tool_calls}
    return [_render_message(message, ids) for message in messages]


def _render_message(message: Message, ids: Mapping[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.name:
        body["name"] = _to_valid_name(message.name)
    if message.tool_call_id:
        body["tool_call_id"] = ids.get(message.tool_call_id, message.tool_call_id)
    if message.tool_calls:
        body["tool_calls"] = [_render_call(call) for call in message.tool_calls]
        if message.reasoning:
            body["reasoning_content"] = message.reasoning
    return body


def _render_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": _to_valid_name(call.function.name), "arguments": call.function.arguments}
    known = {"id": call.provider_id or call.id, "type": call.type, "function": function}
    return (call.extra or {}) | known


def _to_valid_name(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)[:MAX_NAME_CHARS]


@contextmanager
def _translate_errors(request: ModelRequest) -> Iterator[None]:
    """Raise our errors for the SDK's and for responses that it failed to reject (F15-F17)."""
    try:
        yield
    except REJECTIONS as refused:
        if refused.code == CONTENT_FILTER:
            raise prompt_filtered() from refused
        if request.tools or str(refused.param).startswith(("messages", "tools")):
            raise InvalidRequest(
                "The provider rejected this request; retrying will not help: check the tools and "
                "their results, or send less"
            ) from refused
        raise unavailable("The provider rejected the request as malformed") from refused
    except TimeoutError as late:
        raise unavailable("The model did not answer in time") from late
    except CALL_FAILURES as failed:
        raise unavailable(_describe(failed), _retry_after(failed)) from failed


def _describe(failed: Exception) -> str:
    if isinstance(failed, RateLimitError):
        return "The model has no capacity left"
    if isinstance(failed, APITimeoutError):
        return "The model did not answer in time"
    if isinstance(failed, APIConnectionError):
        return "The model could not be reached"
    return "The model gave no usable answer"


def _retry_after(failed: Exception) -> float | None:
    if not isinstance(failed, APIStatusError):
        return None
    try:
        return min(MAX_RETRY_AFTER, float(failed.response.headers.get("retry-after", "")))
    except ValueError:
        return None
