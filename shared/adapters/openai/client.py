"""Clients of OpenAI-compatible endpoints, with a key or a managed identity."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from httpx2 import HTTPError
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel, ConfigDict

AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
# What the SDK raises, and what comes of responses that it does not reject: ones that are not
# JSON, have another structure, or are nested too deeply.
CALL_FAILURES = (
    OpenAIError,
    HTTPError,
    AzureError,
    TimeoutError,
    ValueError,
    AttributeError,
    RecursionError,
)


class Lenient(BaseModel):
    """A part of a response; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


@dataclass(frozen=True, slots=True)
class ModelEndpoint:
    """The address of an API, and the key or identity to call it with."""

    base_url: str
    credential: str | AsyncTokenCredential

    @property
    def provider(self) -> str:
        """The provider's name in telemetry; only Azure OpenAI is called with an identity."""
        return "openai" if isinstance(self.credential, str) else "azure.ai.openai"

    @property
    def server(self) -> str:
        """The host name of the endpoint."""
        return urlsplit(self.base_url).hostname or ""

    def connect(self) -> AsyncOpenAI:
        """Create a client without retries; it connects on the first call."""
        return AsyncOpenAI(base_url=self.base_url, api_key=self._api_key(), max_retries=0)

    def _api_key(self) -> str | Callable[[], Awaitable[str]]:
        if isinstance(self.credential, str):
            return self.credential
        from azure.identity.aio import get_bearer_token_provider  # noqa: PLC0415 - slow to import

        return get_bearer_token_provider(self.credential, AZURE_SCOPE)
