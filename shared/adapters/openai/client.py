"""Clients of OpenAI-compatible addresses, with a key or as a managed identity."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from httpx2 import HTTPError
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel, ConfigDict

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
# what the SDK raises, and what it lets through of answers that are none: no JSON, other JSON, or too deep for a parser
UNUSABLE = (
    OpenAIError,
    HTTPError,
    AzureError,
    TimeoutError,
    ValueError,
    AttributeError,
    RecursionError,
)


class Lenient(BaseModel):
    """What is read of an answer; whatever else it says is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """Where models are, and a key or an identity to ask them with."""

    base_url: str
    credential: str | AsyncTokenCredential

    @property
    def provider(self) -> str:
        """As telemetry names it; only Azure's is asked by identity."""
        return "openai" if isinstance(self.credential, str) else "azure.ai.openai"

    @property
    def server(self) -> str:
        """The host."""
        return urlsplit(self.base_url).hostname or ""

    def connect(self) -> AsyncOpenAI:
        """A client without retries of its own; it connects with its first call."""
        return AsyncOpenAI(base_url=self.base_url, api_key=self._api_key(), max_retries=0)

    def _api_key(self) -> str | Callable[[], Awaitable[str]]:
        if isinstance(self.credential, str):
            return self.credential
        from azure.identity.aio import get_bearer_token_provider  # noqa: PLC0415 - heavy, and not wanted with a key

        return get_bearer_token_provider(self.credential, AZURE_SCOPE)
