"""Settings: Keepsake refuses to start on a missing or invalid one and names the variable."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from shared.settings import AZURE_MARKS, Settings, SettingsError, load_settings

VALID = {
    "AUTH_MODE": "local",
    "COSMOS_ENDPOINT": "https://cosmos.example",
    "AZURE_OPENAI_ENDPOINT": "https://models.example",
    "CHAT_MODEL": "gpt",
}


UNRESOLVED = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/one)"
GUID = "11111111-1111-1111-1111-11111111111A"
ENTRA = {
    "auth_mode": "entra",
    "entra_tenant_ids": f"{GUID}, {GUID}",
    "entra_audience": "api://keepsake",
}
OWN_MODEL = {"openai_base_url": "http://127.0.0.1:1/v1", "openai_api_key": "none"}
OWN_VECTORS = {
    "embedding_base_url": "http://127.0.0.1:1/v1",
    "embedding_api_key": "none",
    "embedding_model": "vectors",
}


@dataclass(frozen=True, slots=True)
class Row:
    """When a setting is refused, and the other settings that it requires."""

    invalid: tuple[str, ...] = ()
    required: bool = False
    empty_is_none: bool = False
    others: dict[str, str] = field(default_factory=dict)


ROWS = {
    "auth_mode": Row(("none", "LOCAL", "local,key"), required=True),
    "entra_tenant_ids": Row(
        ("contoso.example", "common", f"{GUID} {GUID}", f"{GUID},*"), required=True, others=ENTRA
    ),
    "entra_audience": Row((" ", "api://keep sake"), required=True, others=ENTRA),
    "entra_required_scope": Row((" ", "access as user"), others=ENTRA),
    "entra_authority": Row(
        ("login", "https://", "https://login.example/common", "ftp://login.example")
    ),
    "entra_acting_client_ids": Row(("my-bot", "*"), empty_is_none=True),
    "cosmos_endpoint": Row(
        ("cosmos.example", "https://", "AccountEndpoint=https://cosmos.example/;"), required=True
    ),
    "cosmos_database": Row((" ", "agent/memory")),
    "cosmos_key": Row((UNRESOLVED,)),
    "redis_host": Row((" ", "redis.example:10000", "rediss://redis.example")),
    "redis_port": Row(("0", "65536", "tls", "10000.5")),
    "redis_tls": Row(("perhaps",)),
    "redis_socket": Row(("redis.sock", "/")),
    "queue_endpoint": Row(("queue.example", "https://", "UseDevelopmentStorage=true")),
    "queue_key": Row((UNRESOLVED,)),
    "azure_openai_endpoint": Row(("models.example", "https://"), required=True),
    "openai_base_url": Row(("models", "https://"), others=OWN_MODEL),
    "openai_api_key": Row((UNRESOLVED,), required=True, others=OWN_MODEL),
    "chat_model": Row((" ", "gpt 5"), required=True),
    "chat_models_allowed": Row(("gpt 5", "small,gpt 5"), empty_is_none=True),
    "max_completion_tokens": Row(("0", "32769", "many")),
    "first_token_seconds": Row(("0", "171", "soon")),
    "history_tokens": Row(("-1", "200001", "all")),
    "memory_tokens": Row(("-1", "16001", "all")),
    "embedding_model": Row((" ", "text embedding"), empty_is_none=True),
    "embedding_base_url": Row(("vectors", "https://"), others=OWN_VECTORS),
    "embedding_api_key": Row((UNRESOLVED,), required=True, others=OWN_VECTORS),
    "azure_client_id": Row(("system", f"{GUID}0")),
    "retention_days": Row(("0", "3651", "forever")),
    "session_ttl_seconds": Row(("59", "86401", "1h")),
    "idle_minutes": Row(("0", "10081", "5m")),
    "summarise_schedule": Row(("*/5 * * * *", "every five minutes", "0 */5 * * * * *")),
    "summariser": Row(("gpt", "MODEL")),
    "summary_model": Row((" ", "gpt 5"), empty_is_none=True),
    "summary_chunk_tokens": Row(("499", "200001", "all")),
    "log_digest_key": Row(),
    "applicationinsights_connection_string": Row(
        ("insights", f"InstrumentationKey={GUID}0", "InstrumentationKey=")
    ),
    "traces_per_second": Row(("-1", "1001", "all")),
    "otel_exporter_otlp_endpoint": Row(
        ("collector:4318", "http://", "grpc://collector"), empty_is_none=True
    ),
    **{mark.lower(): Row(empty_is_none=True) for mark in AZURE_MARKS},
}


@pytest.fixture(autouse=True)
def _valid_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in VALID.items():
        monkeypatch.setenv(name, value)


def test_the_required_settings_are_enough() -> None:
    """Everything else has a default."""
    settings = load_settings()
    assert settings.chat_base_url == "https://models.example/openai/v1/"


def test_every_setting_has_a_row_f41() -> None:
    """A new setting needs a row here and a description for the README."""
    assert [name for name, each in Settings.model_fields.items() if not each.description] == []
    assert ROWS.keys() == Settings.model_fields.keys()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.required])
def test_a_missing_setting_is_named_f41(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A required setting is checked at the start, not on first use."""
    _set(monkeypatch, ROWS[name].others)
    monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(SettingsError, match=name.upper()):
        load_settings()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.required])
def test_an_optional_setting_may_be_missing_f41(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A setting that is not set has its documented default."""
    monkeypatch.delenv(name.upper(), raising=False)
    assert getattr(load_settings(), name) == Settings.model_fields[name].default


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not row.empty_is_none])
def test_an_empty_setting_is_named_f41(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An empty variable, which a deployment forgot to fill, is refused at the start."""
    _set(monkeypatch, ROWS[name].others | {name: ""})
    with pytest.raises(SettingsError, match=name.upper()):
        load_settings()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.empty_is_none])
def test_an_empty_list_or_marker_is_none_f41(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Bicep writes an empty list as an empty string; an empty marker of Azure marks nothing."""
    _set(monkeypatch, {name: ""})
    assert not getattr(load_settings(), name)


@pytest.mark.parametrize(
    ("name", "invalid"), [(name, invalid) for name, row in ROWS.items() for invalid in row.invalid]
)
def test_an_invalid_setting_is_named_f41(
    monkeypatch: pytest.MonkeyPatch, name: str, invalid: str
) -> None:
    """Malformed and out-of-range values are refused at the start, by name and without the value."""
    _set(monkeypatch, ROWS[name].others | {name: invalid})
    with pytest.raises(SettingsError, match=name.upper()):
        load_settings()


def test_an_error_never_shows_a_secret_f36(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error message contains no value, least of all a secret."""
    monkeypatch.setenv("COSMOS_KEY", "canary")
    monkeypatch.setenv("AUTH_MODE", "canary")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert "canary" not in str(raised.value) + repr(raised.value.__cause__)


@pytest.mark.parametrize("mark", AZURE_MARKS)
def test_local_refuses_to_start_in_azure_f41(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """Behind the Functions host every peer is loopback, so anyone could send the trusted header."""
    monkeypatch.setenv(mark, "x")
    with pytest.raises(SettingsError, match="AUTH_MODE=local.*" + mark):
        load_settings()


def test_lists_are_split_and_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas separate, blanks are ignored, and settings are immutable."""
    _set(monkeypatch, ENTRA | {"chat_models_allowed": "small, ,large"})
    settings = load_settings()
    assert settings.entra_tenant_ids == (GUID.lower(), GUID.lower())
    assert settings.chat_models_allowed == ("small", "large")
    with pytest.raises(ValueError, match="frozen"):
        settings.history_tokens = 1  # type: ignore[misc]  # this must fail


@pytest.mark.parametrize(
    "both",
    [
        {
            "azure_openai_endpoint": "https://models.example",
            "openai_base_url": "https://models.example",
        },
        {"redis_host": "redis.example", "redis_socket": "/redis.sock"},
    ],
)
def test_conflicting_settings_are_named_f41(
    monkeypatch: pytest.MonkeyPatch, both: dict[str, str]
) -> None:
    """Two settings that exclude each other are refused together."""
    _set(monkeypatch, both)
    with pytest.raises(SettingsError, match=".*".join(name.upper() for name in both)):
        load_settings()


def _set(monkeypatch: pytest.MonkeyPatch, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name.upper(), value)
    if "openai_api_key" in settings:
        monkeypatch.delenv("AZURE_OPENAI_ENDPOINT")
