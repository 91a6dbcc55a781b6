"""The settings: the only reader of the environment. A missing or silly value stops the start, by its name."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

AZURE_MARKS = ("WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME", "CONTAINER_NAME")
NameList = Annotated[tuple[str, ...], NoDecode]


class AuthMode(StrEnum):
    """How a caller proves who the user is."""

    ENTRA = "entra"
    KEY = "key"
    LOCAL = "local"


class SettingsError(ValueError):
    """A setting is missing or silly; the message names it."""


class Settings(BaseSettings):
    """Everything that can be set, one environment variable each, upper case."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=False, hide_input_in_errors=True)

    auth_mode: AuthMode
    entra_tenant_ids: NameList = ()
    entra_audience: str | None = None
    entra_authority: str = Field("https://login.microsoftonline.com", pattern=r"^https?://[^/]+$")
    entra_acting_client_ids: NameList = ()

    cosmos_endpoint: str = Field(pattern=r"^https?://")
    cosmos_database: str = Field("agent-memory", min_length=1)
    cosmos_key: SecretStr | None = None

    redis_host: str | None = Field(None, min_length=1)
    redis_port: int = Field(10_000, ge=1, le=65_535)
    redis_tls: bool = True
    redis_socket: str | None = Field(None, min_length=1)

    azure_openai_endpoint: str | None = Field(None, pattern=r"^https?://")
    openai_base_url: str | None = Field(None, pattern=r"^https?://")
    openai_api_key: SecretStr | None = None
    chat_model: str = Field(min_length=1)
    chat_models_allowed: NameList = ()
    max_completion_tokens: int = Field(2048, ge=1, le=32_768)
    history_tokens: int = Field(8000, ge=0, le=200_000)

    azure_client_id: str | None = None
    retention_days: int = Field(90, ge=1, le=3650)
    session_ttl_seconds: int = Field(3600, ge=60, le=86_400)
    idle_minutes: int = Field(30, ge=1, le=10_080)
    log_digest_key: SecretStr | None = None

    website_instance_id: str | None = None
    website_site_name: str | None = None
    container_name: str | None = None

    @field_validator("entra_tenant_ids", "entra_acting_client_ids", "chat_models_allowed", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.auth_mode is AuthMode.ENTRA and not self.entra_tenant_ids:
            raise ValueError("ENTRA_TENANT_IDS is needed with AUTH_MODE=entra: tenants whose tokens are accepted")
        if self.auth_mode is AuthMode.ENTRA and not self.entra_audience:
            raise ValueError("ENTRA_AUDIENCE is needed with AUTH_MODE=entra: the app's client id or App ID URI")
        if self.auth_mode is AuthMode.LOCAL and (mark := self._azure_mark()):
            raise ValueError(f"AUTH_MODE=local trusts a header and does not start in Azure ({mark} is set)")
        if self.redis_host and self.redis_socket:
            raise ValueError("Set one of REDIS_HOST (with REDIS_PORT, REDIS_TLS) and REDIS_SOCKET, or neither")
        if bool(self.azure_openai_endpoint) == bool(self.openai_base_url):
            raise ValueError("Set one of AZURE_OPENAI_ENDPOINT (managed identity) and OPENAI_BASE_URL")
        if self.openai_base_url and not self.openai_api_key:
            raise ValueError("OPENAI_API_KEY is needed with OPENAI_BASE_URL; any text will do where none is asked for")
        return self

    def _azure_mark(self) -> str | None:
        return next((mark for mark in AZURE_MARKS if getattr(self, mark.lower())), None)

    @property
    def chat_base_url(self) -> str:
        """The OpenAI-compatible address; Azure's is its v1 API."""
        if self.openai_base_url:
            return self.openai_base_url
        return f"{(self.azure_openai_endpoint or '').rstrip('/')}/openai/v1/"

    @property
    def retention(self) -> timedelta:
        """How long turns and preferences are kept without use."""
        return timedelta(days=self.retention_days)


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        SettingsError: with one line per setting that is missing or silly.
    """
    try:
        return Settings()  # the environment is the argument
    except ValidationError as invalid:
        lines = [_explain(error["loc"], error["msg"]) for error in invalid.errors(include_input=False)]
        raise SettingsError("Keepsake cannot start. " + " ".join(lines)) from None


def _explain(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{str(location[0]).upper()}: {message}." if location else f"{message}."
