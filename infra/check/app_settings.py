"""Checks what the app is told: identity on every connection, no secret, nothing that Flex Consumption refuses."""

from collections.abc import Iterator, Mapping

from infra.check.bicep import BicepFile, is_existing, type_of
from infra.check.finding import Finding
from infra.check.values import Known, Record, Value, at, leaves, records, resource_body

REFUSED = {  # by Flex Consumption: deprecated there, or said in functionAppConfig
    "AzureWebJobsStorage",
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "TZ",
}
REFUSED_PREFIX = "WEBSITE_"
REFUSED_OF_SITES = {"alwaysOn", "functionAppScaleLimit", "linuxFxVersion", "preWarmedInstanceCount"}
STORAGE_IDENTITY = "AzureWebJobsStorage__credential"
IN_VAULT = "@Microsoft.KeyVault("
SECRETS = ("KEY", "SECRET", "PASSWORD", "TOKEN", "CONNECTION_STRING", "CONNECTIONSTRING")
TELEMETRY = "APPLICATIONINSIGHTS_CONNECTION_STRING"  # an address: the account takes no telemetry without Entra ID
TELEMETRY_IDENTITY = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING"


def check_app_settings(file: BicepFile) -> Iterator[Finding]:
    """Yield settings that cannot be, or should not."""
    for name, value in {**settings_of_site(file), **settings_of_module(file)}.items():
        if name in REFUSED or name.startswith(REFUSED_PREFIX):
            yield Finding(file.path, value.line, "app-setting", f"Flex Consumption refuses {name}")
        elif name.endswith(SECRETS) and name != TELEMETRY and not _is_in_vault(value):
            yield Finding(
                file.path, value.line, "app-setting", f"{name} must be a reference to the Key Vault"
            )
    yield from _connections(file)


def settings_of_site(file: BicepFile) -> Mapping[str, Value]:
    """The settings a file gives to a site."""
    return _merged(
        at(resource_body(file, node), "properties")
        for node in file.resources.values()
        if type_of(node).startswith("Microsoft.Web/sites/config@")
    )


def settings_of_module(file: BicepFile) -> Mapping[str, Value]:
    """The settings a file hands to a module for a site."""
    return _merged(
        at(resource_body(file, node), "params.appSettings") for node in file.modules.values()
    )


def _merged(values: Iterator[Value | None]) -> Mapping[str, Value]:
    return {
        name: part
        for value in values
        for record in records(value)
        for name, part in record.fields.items()
    }


def _connections(file: BicepFile) -> Iterator[Finding]:
    given = settings_of_site(file)
    for node in file.resources.values():
        if type_of(node).startswith("Microsoft.Web/sites/config@"):
            if getattr(given.get(STORAGE_IDENTITY), "constant", "") != "managedidentity":
                yield file.finding(
                    node, "app-setting", f"{STORAGE_IDENTITY} must be 'managedidentity'"
                )
            if "Authorization=AAD" not in getattr(given.get(TELEMETRY_IDENTITY), "source", ""):
                yield file.finding(
                    node, "app-setting", f"{TELEMETRY_IDENTITY} must say Authorization=AAD"
                )
        elif type_of(node).startswith("Microsoft.Web/sites@") and not is_existing(node):
            config = at(resource_body(file, node), "properties.siteConfig")
            for name in REFUSED_OF_SITES & set(config.fields if isinstance(config, Record) else ()):
                yield file.finding(node, "app-setting", f"Flex Consumption refuses {name}")


def _is_in_vault(value: Value) -> bool:
    """A reference, here or as the output of the vault's module that ends in Reference."""
    texts = [
        str(leaf.constant) if isinstance(leaf, Known) else leaf.source for leaf in leaves(value)
    ]
    return bool(texts) and all(
        text.startswith(IN_VAULT) or text.endswith("outputs.digestReference") for text in texts
    )
