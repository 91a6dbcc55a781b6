"""The settings: the only reader of the environment. A missing or silly value stops the start, by its name."""

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
OF_PLATFORM = "Set by the platform: with it `AUTH_MODE=local` does not start"

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]\S*$")]
Word = Annotated[str, StringConstraints(pattern=r"^\S+$")]
Guid = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", to_lower=True
    ),
]
UNRESOLVED = "@Microsoft."  # begins what Azure gives when a reference into a Key Vault leads nowhere: no secret


def _resolved(secret: SecretStr) -> SecretStr:
    if secret.get_secret_value().startswith(UNRESOLVED):
        raise ValueError(
            "The reference into the Key Vault was not resolved; check the identity's rights on it"
        )
    return secret


Secret = Annotated[SecretStr, Field(min_length=1), AfterValidator(_resolved)]


def _list(description: str) -> Any:
    return Field((), description=f"{description}; separated by commas")


class AuthMode(StrEnum):
    """How a caller proves who the user is."""

    ENTRA = "entra"
    KEY = "key"
    LOCAL = "local"


class Summariser(StrEnum):
    """Who writes the summaries of old sessions."""

    MODEL = "model"
    EXTRACTIVE = "extractive"


class SettingsError(ValueError):
    """A setting is missing or silly; the message names it."""


class Settings(BaseSettings):
    """Everything that can be set, one environment variable each, upper case."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=False, hide_input_in_errors=True
    )

    auth_mode: AuthMode = Field(
        description="How a caller proves who the user is: `entra`, `key` or `local`"
    )
    entra_tenant_ids: Annotated[tuple[Guid, ...], NoDecode] = _list(
        "Tenants whose tokens are accepted; needed with `AUTH_MODE=entra`"
    )
    entra_audience: Word | None = Field(
        None,
        description="The API's client id or App ID URI, as tokens name it; needed with `AUTH_MODE=entra`",
    )
    entra_required_scope: Word = Field(
        "access_as_user", description="The scope that a user's token must have"
    )
    entra_authority: str = Field(
        "https://login.microsoftonline.com",
        pattern=r"^https?://[^\s/]+$",
        description="Who signs the tokens",
    )
    entra_acting_client_ids: Annotated[tuple[Guid, ...], NoDecode] = _list(
        "Apps that may act for users of their own tenant"
    )

    cosmos_endpoint: Url = Field(description="The address of the Cosmos DB account")
    cosmos_database: str = Field(
        "agent-memory", pattern=r"^[^/\\?#\s]+$", description="Its database"
    )
    cosmos_key: Secret | None = Field(
        None, description="For emulators; without it the managed identity is used"
    )

    redis_host: str | None = Field(
        None,
        pattern=r"^[^\s/:]+$",
        description="The Redis of running sessions; without one they come from Cosmos DB",
    )
    redis_port: int = Field(10_000, ge=1, le=65_535, description="Its port")
    redis_tls: bool = Field(
        default=True, description="Whether Redis is spoken to by TLS, as the managed identity"
    )
    redis_socket: str | None = Field(
        None, pattern=r"^/.", description="A Unix socket instead of `REDIS_HOST`"
    )

    queue_endpoint: Url | None = Field(
        None,
        description="The queue service of a storage account, for sessions to summarise; needed but by `make run`",
    )
    queue_key: Secret | None = Field(
        None, description="For Azurite; without it the managed identity is used"
    )

    azure_openai_endpoint: Url | None = Field(None, description="Azure OpenAI, by managed identity")
    openai_base_url: Url | None = Field(
        None, description="Instead of it, any server of OpenAI's API"
    )
    openai_api_key: Secret | None = Field(
        None, description="Its key; needed with `OPENAI_BASE_URL`"
    )
    chat_model: Word = Field(
        description="The model that answers; at Azure OpenAI the name of its deployment"
    )
    chat_models_allowed: Annotated[tuple[Word, ...], NoDecode] = _list(
        "Other models a request may ask for"
    )
    max_completion_tokens: int = Field(
        2048, ge=1, le=32_768, description="Tokens an answer may have"
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
        description="Tokens of the session's history the model is given, if a request does not say",
    )
    memory_tokens: int = Field(
        2000,
        ge=0,
        le=16_000,
        description="Tokens of preferences, summaries and recalled turns the model is given, if a request does not "
        "say; what is always given is not cut for it. 0: nothing is recalled",
    )
    embedding_model: str = Field(
        "",
        pattern=r"^\S*$",
        description="The model that turns texts into vectors, at Azure OpenAI the name of its deployment; empty: what "
        "was said is recalled by its words alone",
    )
    embedding_base_url: Url | None = Field(
        None, description="Any server of OpenAI's API for it, if it is not where the chat model is"
    )
    embedding_api_key: Secret | None = Field(
        None, description="Its key; needed with `EMBEDDING_BASE_URL`"
    )

    azure_client_id: Guid | None = Field(
        None, description="Which managed identity to be, where there are several"
    )
    retention_days: int = Field(
        90, ge=1, le=3650, description="Days that turns and preferences are kept without use"
    )
    session_ttl_seconds: int = Field(
        3600,
        ge=60,
        le=86_400,
        description="Seconds that Redis holds a session, and turns live with memory switched off",
    )
    idle_minutes: int = Field(
        30, ge=1, le=10_080, description="Minutes a session rests before it is due"
    )
    summarise_schedule: str = Field(
        "0 */5 * * * *",
        pattern=r"^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){5}$",
        description="When due sessions are looked for: six fields from second to weekday, in UTC",
    )
    summariser: Summariser = Field(
        Summariser.MODEL,
        description="`model`, or `extractive` for sentences of the user's own, chosen without a model",
    )
    summary_model: str = Field(
        "",
        pattern=r"^\S*$",
        description="The model that summarises, at Azure OpenAI a deployment; empty: `CHAT_MODEL`",
    )
    summary_chunk_tokens: int = Field(
        12_000,
        ge=500,
        le=200_000,
        description="Tokens of a transcript that are summarised in one call of the model",
    )
    log_digest_key: Annotated[SecretStr, Field(min_length=1)] | None = (
        Field(  # unresolved, it costs no more than none
            None,
            description="Keys the digests that stand for ids in logs; without it they differ from worker to worker",
        )
    )
    applicationinsights_connection_string: str | None = Field(
        None,
        pattern=r"(?i)^(.*;)?\s*InstrumentationKey=[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*(;|$)",
        description="Application Insights, to which spans, metrics and log lines are sent",
    )
    traces_per_second: float = Field(
        1,
        ge=0,
        le=1000,
        description="Requests a second whose spans each worker sends to Application Insights, at most",
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",  # as its specification says: empty is the same as not set
        pattern=r"^(https?://[^\s/]\S*)?$",
        description="A collector of OTLP over HTTP, to which they are sent instead, or too",
    )

    website_instance_id: str | None = Field(None, description=OF_PLATFORM)
    website_site_name: str | None = Field(None, description=OF_PLATFORM)
    container_name: str | None = Field(None, description=OF_PLATFORM)

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
                "ENTRA_TENANT_IDS is needed with AUTH_MODE=entra: tenants whose tokens are accepted"
            )
        if self.auth_mode is AuthMode.ENTRA and not self.entra_audience:
            raise ValueError(
                "ENTRA_AUDIENCE is needed with AUTH_MODE=entra: the app's client id or App ID URI"
            )
        if self.auth_mode is AuthMode.LOCAL and (mark := self._azure_mark()):
            raise ValueError(
                f"AUTH_MODE=local trusts a header and does not start in Azure ({mark} is set)"
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
                "OPENAI_API_KEY is needed with OPENAI_BASE_URL; any text will do where none is asked for"
            )
        if self.embedding_base_url and not (self.embedding_api_key and self.embedding_model):
            raise ValueError(
                "EMBEDDING_BASE_URL needs EMBEDDING_MODEL, and EMBEDDING_API_KEY, which may be any text"
            )
        return self

    def _azure_mark(self) -> str | None:
        return next((mark for mark in AZURE_MARKS if getattr(self, mark.lower())), None)

    @property
    def needs_identity(self) -> bool:
        """Whether anything is opened by managed identity; where there are keys for all, its libraries stay away."""
        signs_in_to_redis = bool(self.redis_host) and self.redis_tls
        signs_in_to_queue = bool(self.queue_endpoint) and not self.queue_key
        return (
            not self.cosmos_key or not self.openai_api_key or signs_in_to_redis or signs_in_to_queue
        )

    def require_queue(self) -> None:
        """Insist on a queue service, which only `make run` does without.

        Raises:
            SettingsError: none is set.
        """
        if self.queue_endpoint is None:
            raise SettingsError(
                "Keepsake cannot start. QUEUE_ENDPOINT: the queue service of a storage account is needed."
            )

    @property
    def chat_base_url(self) -> str:
        """The OpenAI-compatible address; Azure's is its v1 API."""
        if self.openai_base_url:
            return self.openai_base_url
        return f"{(self.azure_openai_endpoint or '').rstrip('/')}/openai/v1/"

    @property
    def digest_key(self) -> bytes | None:
        """What keys the digests; None without a key, and where Azure did not resolve the reference to it."""
        key = self.log_digest_key.get_secret_value() if self.log_digest_key else UNRESOLVED
        return None if key.startswith(UNRESOLVED) else key.encode()

    @property
    def retention(self) -> timedelta:
        """Days that turns and preferences are kept without use."""
        return timedelta(days=self.retention_days)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: with one line per setting that is missing or silly.
    """
    try:
        return Settings()  # the environment is the argument
    except ValidationError as invalid:
        lines = [
            _explain(error["loc"], error["msg"]) for error in invalid.errors(include_input=False)
        ]
        raise SettingsError("Keepsake cannot start. " + " ".join(lines)) from None


def _explain(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}." if location else f"{message}."
