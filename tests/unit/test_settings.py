"""Settings: a missing or silly value stops the start, and the message names the variable."""

import pytest

from shared.settings import AZURE_MARKS, Settings, SettingsError, load_settings

GOOD = {
    "AUTH_MODE": "local",
    "COSMOS_ENDPOINT": "https://cosmos.example",
    "AZURE_OPENAI_ENDPOINT": "https://models.example",
    "CHAT_MODEL": "gpt",
}
ENTRA = {"AUTH_MODE": "entra", "ENTRA_TENANT_IDS": "a, b", "ENTRA_AUDIENCE": "api://keepsake"}


@pytest.fixture(autouse=True)
def _good_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_the_needed_settings_are_enough() -> None:
    """Everything else has a default."""
    settings = load_settings()
    assert settings.chat_base_url == "https://models.example/openai/v1/"


@pytest.mark.parametrize("name", ["AUTH_MODE", "COSMOS_ENDPOINT", "CHAT_MODEL", "AZURE_OPENAI_ENDPOINT"])
def test_a_missing_setting_is_named_f41(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing that is needed has a lazy surprise on the first call."""
    monkeypatch.delenv(name)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize("name", ["ENTRA_TENANT_IDS", "ENTRA_AUDIENCE"])
@pytest.mark.parametrize("value", [None, ""])
def test_entra_needs_tenants_and_audience_f41(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    """Without them any token would do."""
    for other, good in ENTRA.items():
        monkeypatch.setenv(other, good)
    monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("name", "silly"),
    [
        ("AUTH_MODE", ""),
        ("AUTH_MODE", "none"),
        ("COSMOS_ENDPOINT", ""),
        ("COSMOS_ENDPOINT", "cosmos.example"),
        ("COSMOS_DATABASE", ""),
        ("AZURE_OPENAI_ENDPOINT", ""),
        ("OPENAI_BASE_URL", "models"),
        ("OPENAI_BASE_URL", "https://both.example"),
        ("CHAT_MODEL", ""),
        ("ENTRA_AUTHORITY", "login"),
        ("MAX_COMPLETION_TOKENS", "0"),
        ("MAX_COMPLETION_TOKENS", "many"),
        ("HISTORY_TOKENS", "-1"),
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", ""),
        ("SESSION_TTL_SECONDS", "1"),
        ("IDLE_MINUTES", "0"),
    ],
)
def test_a_silly_setting_is_named_f41(monkeypatch: pytest.MonkeyPatch, name: str, silly: str) -> None:
    """Empty, malformed and out of range are told at the start, by name, without the value."""
    monkeypatch.setenv(name, silly)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_an_error_never_shows_a_secret_f36(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was set is not in the message, secrets least of all."""
    monkeypatch.setenv("COSMOS_KEY", "canary")
    monkeypatch.setenv("AUTH_MODE", "canary")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert "canary" not in str(raised.value) + repr(raised.value.__cause__)


@pytest.mark.parametrize("mark", AZURE_MARKS)
def test_local_refuses_to_start_in_azure_f41(monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """Behind the Functions host every peer is loopback, so a trusted header would be anybody's."""
    monkeypatch.setenv(mark, "x")
    with pytest.raises(SettingsError, match="AUTH_MODE=local.*" + mark):
        load_settings()


def test_lists_are_split_and_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas separate, blanks do not count, nothing changes after the start."""
    for name, value in ENTRA.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.entra_tenant_ids == ("a", "b")
    with pytest.raises(ValueError, match="frozen"):
        settings.history_tokens = 1  # type: ignore[misc]  # that it cannot be set is the test
