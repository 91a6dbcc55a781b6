"""The app's settings: each is read, each that is needed is set, and none is a secret."""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.bicep.snapshot import Snapshot
from shared.settings import AZURE_MARKS, AuthMode, Settings

LAPTOP_ONLY = {  # keys, and servers that are not part of a deployment
    "COSMOS_KEY",
    "EMBEDDING_API_KEY",
    "EMBEDDING_BASE_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "QUEUE_KEY",
    "REDIS_SOCKET",
}
STORAGE_IDENTITY = ("AzureWebJobsStorage__credential", "managedidentity")
TELEMETRY_IDENTITY = ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=AAD")
PLATFORM = {  # read by the Functions host or its worker
    STORAGE_IDENTITY[0],
    TELEMETRY_IDENTITY[0],
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "PYTHON_ENABLE_INIT_INDEXING",
    "PYTHON_ENABLE_OPENTELEMETRY",
}
FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}
SECRETS = {name for name, field in FIELDS.items() if "Secret" in str(field.annotation)}


def settings_of(snapshot: Snapshot) -> Mapping[str, Any]:
    """What the app is started with."""
    [config] = snapshot.of("Microsoft.Web/sites/config")
    return dict(config.at("properties"))


def check_app_settings(snapshot: Snapshot) -> Iterator[str]:
    """Yield settings that nothing reads, that are missing, or that weaken the app."""
    given = settings_of(snapshot)
    for name in sorted(given.keys() - FIELDS.keys() - PLATFORM):
        yield f"{name} is set, and nothing reads it"
    for name in sorted(_needed(snapshot, given) - given.keys()):
        yield f"{name} is needed, and not set"
    for name in sorted(SECRETS & given.keys()):
        if "@Microsoft.KeyVault(" not in str(given[name]):
            yield f"{name} must be a reference to the Key Vault"
    for name, part in (STORAGE_IDENTITY, TELEMETRY_IDENTITY):
        if part not in str(given.get(name)):
            yield f"{name} must say {part}"
    if given.get("AUTH_MODE") == AuthMode.LOCAL:
        yield "AUTH_MODE=local trusts a header"
    if given.get("REDIS_TLS", "true") != "true":
        yield "REDIS_TLS must stay on"


def _needed(snapshot: Snapshot, given: Mapping[str, Any]) -> set[str]:
    """Settings without a default that this variant cannot do without."""
    needed = PLATFORM | {
        name for name, field in FIELDS.items() if field.is_required() or field.default is None
    }
    spared = LAPTOP_ONLY | set(AZURE_MARKS)
    entra = {"ENTRA_AUDIENCE", "ENTRA_TENANT_IDS"}
    needed = needed | entra if given.get("AUTH_MODE") == AuthMode.ENTRA else needed - entra
    if not snapshot.of("Microsoft.Cache/redisEnterprise") and "REDIS_PORT" not in given:
        spared |= {"REDIS_HOST"}
    return needed - spared
