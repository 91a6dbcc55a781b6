"""The settings, read from the environment here and nowhere else.

Keepsake refuses to start on a missing or invalid setting and names it.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

AZURE_MARKS = ("WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "CONTAINER_NAME")
# pydantic's words, and ours
NOT_SET = ("Field required", "it is not set; docs/settings.md describes it")
SET_BY_PLATFORM = "Set by the platform; rules out `AUTH_MODE=local`"

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]\S*$")]
Word = Annotated[str, StringConstraints(pattern=r"^\S+$")]
Guid = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", to_lower=True
    ),
]
UNRESOLVED = "@Microsoft."  # the start of a Key Vault reference that Azure could not resolve


def _require_resolved(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value().startswith(UNRESOLVED):
        raise ValueError(
            "The Key Vault reference was not resolved; grant the app's identity access to the vault"
        )
    return secret


Secret = Annotated[SecretStr, Field(min_length=1), AfterValidator(_require_resolved)]


def _list(description: str) -> Any:
    return Field((), description=f"{description}; comma-separated")


class AuthMode(StrEnum):
    """How callers are authenticated."""

    ENTRA = "entra"
    KEY = "key"
    LOCAL = "local"


class Summariser(StrEnum):
    """How idle sessions are summarised."""

    MODEL = "model"
    EXTRACTIVE = "extractive"


class SettingsError(ValueError):
    """A setting is missing or invalid; the message names it."""


class Settings(BaseSettings):
    """All settings; each is an environment variable with its name in upper case."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=False, hide_input_in_errors=True
    )

    auth_mode: AuthMode = Field(
        description="How callers are authenticated: `entra`, `key` or `local`"
    )
    entra_tenant_ids: Annotated[tuple[Guid, ...], NoDecode] = _list(
        "Tenants whose tokens are accepted; required with `AUTH_MODE=entra`"
    )
    entra_audience: Word | None = Field(
        None,
        description="The expected audience of tokens: the API's client id or App ID URI; required "
        "with `AUTH_MODE=entra`",
    )
    entra_required_scope: Word = Field(
        "access_as_user", description="The scope that a user's token must have"
    )
    entra_authority: str = Field(
        "https://login.microsoftonline.com",
        pattern=r"^https?://[^\s/]+$",
        description="The authority that issues the tokens",
    )
    entra_acting_client_ids: Annotated[tuple[Guid, ...], NoDecode] = _list(
        "Client ids of apps that may act for users of their own tenant"
    )

    cosmos_endpoint: Url = Field(description="The endpoint of the Cosmos DB account")
    cosmos_database: str = Field(
        "agent-memory", pattern=r"^[^/\\?#\s]+$", description="The Cosmos DB database"
    )
    cosmos_key: Secret | None = Field(
        None, description="The account key, for emulators; default: the managed identity"
    )

    redis_host: str | None = Field(
        None,
        pattern=r"^[^\s/:]+$",
        description="The Redis host, for the session cache; without it, every turn reads its "
        "window from Cosmos DB",
    )
    redis_port: int = Field(10_000, ge=1, le=65_535, description="The Redis port")
    redis_tls: bool = Field(
        default=True,
        description="Whether to connect to Redis with TLS and sign in with the managed identity",
    )
    redis_socket: str | None = Field(
        None,
        pattern=r"^/.",
        description="The Unix socket of a local Redis, instead of `REDIS_HOST`",
    )

    queue_endpoint: Url | None = Field(
        None,
        description="The queue endpoint of a storage account, for consolidation jobs; required, "
        "except for `make run`",
    )
    queue_key: Secret | None = Field(
        None, description="The storage account key, for Azurite; default: the managed identity"
    )

    azure_openai_endpoint: Url | None = Field(
        None, description="The endpoint of Azure OpenAI, used with the managed identity"
    )
    openai_base_url: Url | None = Field(
        None,
        description="The base URL of any OpenAI-compatible API, instead of `AZURE_OPENAI_ENDPOINT`",
    )
    openai_api_key: Secret | None = Field(
        None, description="The API key; required with `OPENAI_BASE_URL`"
    )
    chat_model: Word = Field(
        description="The chat model; with Azure OpenAI, the name of its deployment"
    )
    chat_models_allowed: Annotated[tuple[Word, ...], NoDecode] = _list(
        "Other models that a request may choose"
    )
    max_completion_tokens: int = Field(
        2048, ge=1, le=32_768, description="The maximum number of tokens in a reply"
    )
    first_token_seconds: float = Field(
        15,
        ge=1,
        le=170,
        description="Seconds that a streaming model may take until it says or thinks anything",
    )
    history_tokens: int = Field(
        8000,
        ge=0,
        le=200_000,
        description="The token budget for the session's history; a request may override it",
    )
    memory_tokens: int = Field(
        2000,
        ge=0,
        le=16_000,
        description="The token budget for preferences, summaries and recalled turns; a request may "
        "override it. Preferences and summaries are never cut. 0 disables recall",
    )
    embedding_model: str = Field(
        "",
        pattern=r"^\S*$",
        description="The embedding model; with Azure OpenAI, the name of its deployment. Empty: "
        "recall by keywords only",
    )
    embedding_base_url: Url | None = Field(
        None,
        description="The base URL of the embedding model's OpenAI-compatible API; default: the "
        "chat model's",
    )
    embedding_api_key: Secret | None = Field(
        None, description="The embedding API's key; required with `EMBEDDING_BASE_URL`"
    )

    azure_client_id: Guid | None = Field(
        None, description="The client id of the managed identity to use if there are several"
    )
    retention_days: int = Field(
        90,
        ge=1,
        le=3650,
        description="Days until turns, and preferences that are not used, expire",
    )
    session_ttl_seconds: int = Field(
        3600,
        ge=60,
        le=86_400,
        description="Seconds that an idle session stays in Redis, and that turns live while memory "
        "is disabled",
    )
    idle_minutes: int = Field(
        30, ge=1, le=10_080, description="Minutes after its last turn until a session is due"
    )
    summarise_schedule: str = Field(
        "0 */5 * * * *",
        pattern=r"^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){5}$",
        description="When to queue due sessions: an NCRONTAB expression of six fields, in UTC",
    )
    summariser: Summariser = Field(
        Summariser.MODEL,
        description="How sessions are summarised: by a `model`, or `extractive` (the user's own "
        "sentences, without a model)",
    )
    summary_model: str = Field(
        "",
        pattern=r"^\S*$",
        description="The model that summarises; with Azure OpenAI, the name of its deployment. "
        "Empty: `CHAT_MODEL`",
    )
    summary_chunk_tokens: int = Field(
        12_000,
        ge=500,
        le=200_000,
        description="The maximum number of transcript tokens per summarising model call",
    )
    # Not a Secret: an unresolved reference is treated like no key and does not prevent the start.
    log_digest_key: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        None,
        description="The key of the digests that stand for ids in logs; without it, digests "
        "differ between workers",
    )
    applicationinsights_connection_string: str | None = Field(
        None,
        pattern=r"(?i)^(.*;)?\s*InstrumentationKey=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*(;|$)",
        description="The connection string of the Application Insights resource that receives "
        "telemetry",
    )
    traces_per_second: float = Field(
        1,
        ge=0,
        le=1000,
        description="The maximum number of traces per second that each worker sends to Application "
        "Insights",
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",  # the OpenTelemetry specification treats empty like unset
        pattern=r"^(https?://[^\s/]\S*)?$",
        description="The endpoint of an OTLP/HTTP collector that receives telemetry; may be used "
        "together with Application Insights",
    )

    website_instance_id: str | None = Field(None, description=SET_BY_PLATFORM)
    website_site_name: str | None = Field(None, description=SET_BY_PLATFORM)
    container_name: str | None = Field(None, description=SET_BY_PLATFORM)

    @field_validator(
        "entra_tenant_ids", "entra_acting_client_ids", "chat_models_allowed", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.auth_mode is AuthMode.ENTRA and not self.entra_tenant_ids:
            raise ValueError(
                "AUTH_MODE=entra requires ENTRA_TENANT_IDS: the tenants whose tokens are accepted"
            )
        if self.auth_mode is AuthMode.ENTRA and not self.entra_audience:
            raise ValueError(
                "AUTH_MODE=entra requires ENTRA_AUDIENCE: the API's client id or App ID URI"
            )
        if self.auth_mode is AuthMode.LOCAL and (mark := self._azure_mark()):
            raise ValueError(
                f"AUTH_MODE=local trusts a header and is refused in Azure ({mark} is set); "
                "set AUTH_MODE to entra or key"
            )
        if self.redis_host and self.redis_socket:
            raise ValueError(
                "Set one of REDIS_HOST (with REDIS_PORT, REDIS_TLS) and REDIS_SOCKET, or neither"
            )
        if bool(self.azure_openai_endpoint) == bool(self.openai_base_url):
            raise ValueError(
                "Set one of AZURE_OPENAI_ENDPOINT (managed identity) and OPENAI_BASE_URL"
            )
        if self.openai_base_url and not self.openai_api_key:
            raise ValueError(
                "OPENAI_BASE_URL requires OPENAI_API_KEY; if the API needs no key, set any text"
            )
        if self.embedding_base_url and not (self.embedding_api_key and self.embedding_model):
            raise ValueError(
                "EMBEDDING_BASE_URL requires EMBEDDING_MODEL and EMBEDDING_API_KEY; if the API "
                "needs no key, set any text"
            )
        return self

    def _azure_mark(self) -> str | None:
        return next((mark for mark in AZURE_MARKS if getattr(self, mark.lower())), None)

    @property
    def needs_identity(self) -> bool:
        """Whether anything is accessed with the managed identity; if not, its SDK is not loaded."""
        signs_in_to_redis = bool(self.redis_host) and self.redis_tls
        signs_in_to_queue = bool(self.queue_endpoint) and not self.queue_key
        return (
            not self.cosmos_key or not self.openai_api_key or signs_in_to_redis or signs_in_to_queue
        )

    def require_queue(self) -> None:
        """Require a queue service, which only `make run` works without.

        Raises:
            SettingsError: QUEUE_ENDPOINT is not set.
        """
        if self.queue_endpoint is None:
            raise SettingsError(
                "Keepsake cannot start. QUEUE_ENDPOINT: it is not set; set it to the queue "
                "endpoint of a storage account."
            )

    @property
    def chat_base_url(self) -> str:
        """The base URL of the chat API; Azure OpenAI is used through its v1 API."""
        if self.openai_base_url:
            return self.openai_base_url
        return f"{(self.azure_openai_endpoint or '').rstrip('/')}/openai/v1/"

    @property
    def digest_key(self) -> bytes | None:
        """The key of the digests; None if it is not set or Azure could not resolve it."""
        key = self.log_digest_key.get_secret_value() if self.log_digest_key else UNRESOLVED
        return None if key.startswith(UNRESOLVED) else key.encode()

    @property
    def retention(self) -> timedelta:
        """How long turns, and preferences that are not used, are kept."""
        return timedelta(days=self.retention_days)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: settings are missing or invalid; the message names each of them.
    """
    try:
        return Settings()  # reads the environment
    except ValidationError as invalid:
        lines = [
            _explain(error["loc"], error["msg"]) for error in invalid.errors(include_input=False)
        ]
        raise SettingsError("Keepsake cannot start. " + " ".join(lines)) from None


def _explain(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ").replace(*NOT_SET)
    return f"{str(location[0]).upper()}: {message}." if location else f"{message}."
