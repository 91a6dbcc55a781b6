"""The chat model: any OpenAI-compatible address, through the openai package; Azure by managed identity."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.identity.aio import get_bearer_token_provider
from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    BadRequestError,
    OpenAIError,
    RateLimitError,
)
from openai.types.chat import ChatCompletion

from shared.domain.errors import ContentFiltered, ModelUnavailable
from shared.domain.turns import MAX_REPLY_BYTES, Message, TokenUsage
from shared.metering import current_meter
from shared.ports import ChatReply, ChatRequest

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
MAX_RETRY_AFTER = 30.0  # seconds; a provider's hint of an hour is not passed on to a waiting person
DEFAULT_RETRY_AFTER = 2.0


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """Where the model is, and a key or an identity to ask it with."""

    base_url: str
    model: str
    credential: str | AsyncTokenCredential
    max_completion_tokens: int


class OpenAIChat:
    """Asks the model once per turn: no retries of its own, since the caller's resend is free of risk."""

    name = "model"

    def __init__(self, endpoint: ChatEndpoint) -> None:
        """Make the client; it connects with its first call."""
        self._endpoint = endpoint
        self._client = AsyncOpenAI(base_url=endpoint.base_url, api_key=self._api_key(), max_retries=0)

    async def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply, checked: it has text, and it is not larger than a turn can hold.

        Raises:
            ContentFiltered: the provider refused the prompt, or the completion, or filtered it.
            ModelUnavailable: 429, 5xx, time out, or an answer that is none.
        """
        current_meter().model_calls += 1
        try:
            completion = await self._client.chat.completions.create(
                model=request.model or self._endpoint.model,
                messages=(),  # the SDK walks typed messages one by one: half the CPU of a whole turn, for nothing
                extra_body={"messages": [_wire(message) for message in request.messages]},
                max_completion_tokens=self._endpoint.max_completion_tokens,
                timeout=request.seconds,
            )
        except BadRequestError as refused:
            if refused.code == "content_filter":
                raise _filtered() from refused
            raise _unavailable("The model refused the request as malformed", None) from refused
        except (OpenAIError, ValueError, AttributeError) as failed:  # ValueError, AttributeError: HTML for JSON (F17)
            raise _unavailable(_describe(failed), _retry_after(failed)) from failed
        return _checked(completion)

    async def ping(self) -> None:
        """List the models: cheap, and it needs the same address and credential as a reply."""
        await self._client.models.list(timeout=1)

    async def close(self) -> None:
        """Close the client. Twice is harmless."""
        await self._client.close()

    def _api_key(self) -> str | Callable[[], Awaitable[str]]:
        credential = self._endpoint.credential
        return credential if isinstance(credential, str) else get_bearer_token_provider(credential, AZURE_SCOPE)


def _wire(message: Message) -> Any:
    wire = message.model_dump(mode="json", exclude={"at"}, exclude_none=True, exclude_defaults=True)
    return wire | {"role": message.role, "content": message.content}


def _checked(completion: ChatCompletion) -> ChatReply:
    choices: Sequence[Any] = getattr(completion, "choices", None) or ()
    if not choices:
        raise _unavailable("The model sent an answer without choices", None)
    reason, text = choices[0].finish_reason or "stop", choices[0].message.content
    if reason == "content_filter":
        raise _filtered()
    if not text:
        raise _unavailable("The model sent an empty answer", None)
    if len(text.encode(errors="replace")) > MAX_REPLY_BYTES:
        raise _unavailable("The model sent more than a turn can hold", None)
    usage = completion.usage
    counted = (
        TokenUsage(prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens) if usage else None
    )
    return ChatReply(_storable(text), reason, counted or TokenUsage())


def _storable(text: str) -> str:
    """Model output is untrusted: what no store can hold is replaced."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


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


def _unavailable(what: str, retry_after: float | None) -> ModelUnavailable:
    return ModelUnavailable(
        f"{what}; nothing is stored, send the same request again", retry_after=retry_after or DEFAULT_RETRY_AFTER
    )


def _filtered() -> ContentFiltered:
    return ContentFiltered("The model's provider refused this message; the turn is kept as refused")
