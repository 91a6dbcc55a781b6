"""The app is told everything it needs, and nothing that nothing reads."""

import re

import pytest

from infra.bicep.snapshot import Snapshot
from infra.check.app_settings import (
    FIELDS,
    LAPTOP_ONLY,
    PLATFORM,
    check_app_settings,
    settings_of,
)
from infra.hooks.write_local_settings import DEPLOYED
from shared.settings import AZURE_MARKS
from tests.infra.conftest import Started
from tests.infra.planting import REMOVED, ROOT, SNAPSHOTS, changed

CONFIG = "Microsoft.Web/sites/config"
GUID = "3f0c6d1a-5f0e-4b7c-9a51-6a0d3c8e2b10"
PLAUSIBLE = {  # what Azure will put where the snapshots have an expression
    "clientId": GUID,
    "ConnectionString": f"InstrumentationKey={GUID}",
    "hostName": "redis.westeurope.redis.azure.net",
}
WRONG = {
    "misspelt": ("COSMOS_ENDPIONT", "https://x"),
    "of another plan": ("WEBSITE_RUN_FROM_PACKAGE", "1"),
    "refused by Flex Consumption": ("FUNCTIONS_WORKER_RUNTIME", "python"),
    "a connection string": ("AzureWebJobsStorage", "UseDevelopmentStorage=true"),
    "a secret in clear text": ("LOG_DIGEST_KEY", "abc"),
    "another secret in clear text": ("COSMOS_KEY", "C2y6"),
    "storage without an identity": ("AzureWebJobsStorage__credential", "key"),
    "telemetry without an identity": ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "ClientId=x"),
    "a header that is trusted": ("AUTH_MODE", "local"),
    "Redis in clear text": ("REDIS_TLS", "false"),
}


def with_setting(snapshot: Snapshot, name: str, value: object) -> Snapshot:
    """Give the app another setting."""
    return changed(snapshot, CONFIG, f"properties.{name}", value)


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_variant_sets_what_the_app_needs(name: str) -> None:
    """All of it, and nothing else."""
    assert list(check_app_settings(SNAPSHOTS[name])) == []


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_the_app_starts_with_what_is_set(name: str, started_with: Started) -> None:
    """shared/settings.py accepts the settings of every variant, with plausible values."""
    values = {key: plausible(str(value)) for key, value in settings_of(SNAPSHOTS[name]).items()}
    settings = started_with(values)
    assert settings.auth_mode == ("key" if name == "existing" else "entra")
    assert bool(settings.redis_host) == (name != "minimal")


@pytest.mark.parametrize("name", SNAPSHOTS)
@pytest.mark.parametrize("setting", ["COSMOS_ENDPOINT", "QUEUE_ENDPOINT", "AZURE_CLIENT_ID"])
def test_a_setting_that_is_missing_is_found(name: str, setting: str) -> None:
    """In each variant, what has no default must be set."""
    faults = list(check_app_settings(with_setting(SNAPSHOTS[name], setting, REMOVED)))
    assert faults == [f"{setting} is needed, and not set"]


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("default", "ENTRA_AUDIENCE"),
        ("default", "ENTRA_TENANT_IDS"),
        ("default", "REDIS_HOST"),
        ("existing", "REDIS_HOST"),
        ("existing", "AZURE_OPENAI_ENDPOINT"),
        ("minimal", "LOG_DIGEST_KEY"),
    ],
)
def test_a_setting_that_a_choice_needs_is_found(name: str, setting: str) -> None:
    """Redis and Entra ID bring settings with them."""
    assert list(check_app_settings(with_setting(SNAPSHOTS[name], setting, REMOVED)))


@pytest.mark.parametrize(("setting", "value"), WRONG.values(), ids=WRONG)
def test_a_setting_that_should_not_be_is_found(setting: str, value: str) -> None:
    """What nothing reads, secrets in clear text, and what weakens the app."""
    found = list(check_app_settings(with_setting(SNAPSHOTS["default"], setting, value)))
    assert any(setting in finding for finding in found)


def test_the_exceptions_are_needed() -> None:
    """An exception for a setting that is gone would hide the next one of its name."""
    assert (LAPTOP_ONLY | set(AZURE_MARKS)) - FIELDS.keys() == set()
    assert PLATFORM - settings_of(SNAPSHOTS["default"]).keys() == set()


def test_chosen_settings_reach_the_app_and_replace_nothing_that_is_fixed() -> None:
    """KEEPSAKE_SETTINGS comes first, so that what the templates fix wins."""
    given = settings_of(SNAPSHOTS["existing"])
    assert (given["RETENTION_DAYS"], given["IDLE_MINUTES"]) == ("30", "15")
    main = (ROOT / "infra" / "main.bicep").read_text()
    assert re.search(
        r"appSettings: \{\s+\.\.\.settings\s+\.\.\.redisSettings\s+\.\.\.entraSettings\s+AUTH", main
    )


def test_the_hook_passes_on_every_output_that_is_a_setting() -> None:
    """local.settings.json gets what the app reads of what was deployed."""
    assert set(DEPLOYED) == SNAPSHOTS["default"].outputs.keys() & FIELDS.keys()


def plausible(value: str) -> str:
    """What Azure will make of an expression."""
    if not value.startswith("["):
        return value
    ending = re.findall(r"\.(\w+)[^.]*\]$", value)[0]
    return PLAUSIBLE.get(ending, "https://something.azure.com/")
