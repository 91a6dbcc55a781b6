"""The policy table: what must hold of each resource, whatever the parameters are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from infra.check.bicep import BicepFile, is_existing, operands, text, type_of, walk
from infra.check.finding import Finding
from infra.check.values import Choice, Known, Record, Value, at, leaves, resource_body

GATE = "privateNetwork"


@dataclass(frozen=True, slots=True)
class Must:
    """A property that has one of these constants in every case."""

    path: str
    allowed: tuple[object, ...]

    def is_kept(self, body: Record) -> bool:
        """Whether a resource keeps it."""
        found = leaves(at(body, self.path))
        return bool(found) and all(
            isinstance(leaf, Known) and leaf.constant in self.allowed for leaf in found
        )

    def __str__(self) -> str:
        """The rule, for whoever broke it."""
        return f"{self.path} must be {' or '.join(map(repr, self.allowed))}"


@dataclass(frozen=True, slots=True)
class Gated:
    """A property that closes with the parameter `privateNetwork` and has no other say."""

    path: str
    closed: str
    opened: str

    def is_kept(self, body: Record) -> bool:
        """Whether a resource keeps it."""
        value = at(body, self.path)
        if not isinstance(value, Choice) or value.condition != GATE:
            return False
        return [getattr(option, "constant", None) for option in value.options] == [
            self.closed,
            self.opened,
        ]

    def __str__(self) -> str:
        """The rule, for whoever broke it."""
        return f"{self.path} must be {GATE} ? '{self.closed}' : '{self.opened}'"


PUBLIC_NETWORK = Gated("properties.publicNetworkAccess", "Disabled", "Enabled")
FIREWALL = Gated("properties.networkAcls.defaultAction", "Deny", "Allow")
NO_LOCAL_AUTH = Must("properties.disableLocalAuth", (True,))
RULES: dict[str, tuple[Must | Gated, ...]] = {
    "Microsoft.BotService/botServices": (
        NO_LOCAL_AUTH,
        Must("properties.msaAppType", ("UserAssignedMSI",)),
    ),
    "Microsoft.Cache/redisEnterprise": (
        PUBLIC_NETWORK,
        Must("properties.minimumTlsVersion", ("1.2", "1.3")),
    ),
    "Microsoft.Cache/redisEnterprise/databases": (
        Must("properties.accessKeysAuthentication", ("Disabled",)),
        Must("properties.clientProtocol", ("Encrypted",)),
        Must("properties.clusteringPolicy", ("NoCluster",)),
    ),
    "Microsoft.CognitiveServices/accounts": (NO_LOCAL_AUTH, PUBLIC_NETWORK, FIREWALL),
    "Microsoft.DocumentDB/databaseAccounts": (
        NO_LOCAL_AUTH,
        PUBLIC_NETWORK,
        Must("properties.disableKeyBasedMetadataWriteAccess", (True,)),
        Must("properties.minimalTlsVersion", ("Tls12",)),
    ),
    "Microsoft.Insights/components": (Must("properties.DisableLocalAuth", (True,)),),
    "Microsoft.KeyVault/vaults": (
        PUBLIC_NETWORK,
        FIREWALL,
        Must("properties.enableRbacAuthorization", (True,)),
        Must("properties.enableSoftDelete", (True,)),
        Must("properties.enablePurgeProtection", (True,)),
    ),
    "Microsoft.KeyVault/vaults/keys": (
        Must("properties.kty", ("EC", "EC-HSM")),
        Must("properties.curveName", ("P-256",)),
        Must("properties.keyOps", ("sign", "verify")),
    ),
    "Microsoft.OperationalInsights/workspaces": (
        Must("properties.features.disableLocalAuth", (True,)),
    ),
    "Microsoft.Search/searchServices": (NO_LOCAL_AUTH, PUBLIC_NETWORK),
    "Microsoft.Storage/storageAccounts": (
        PUBLIC_NETWORK,
        FIREWALL,
        Must("properties.allowBlobPublicAccess", (False,)),
        Must("properties.allowCrossTenantReplication", (False,)),
        Must("properties.allowSharedKeyAccess", (False,)),
        Must("properties.defaultToOAuthAuthentication", (True,)),
        Must("properties.minimumTlsVersion", ("TLS1_2", "TLS1_3")),
        Must("properties.supportsHttpsTrafficOnly", (True,)),
    ),
    "Microsoft.Storage/storageAccounts/blobServices/containers": (
        Must("properties.publicAccess", ("None",)),
    ),
    "Microsoft.Web/serverfarms": (
        Must("sku.name", ("FC1",)),
        Must("sku.tier", ("FlexConsumption",)),
        Must("properties.reserved", (True,)),
    ),
    "Microsoft.Web/sites": (
        Must("kind", ("functionapp,linux",)),
        Must("properties.httpsOnly", (True,)),
        Must("properties.siteConfig.ftpsState", ("Disabled",)),
        Must("properties.siteConfig.minTlsVersion", ("1.2", "1.3")),
        Must("identity.type", ("UserAssigned",)),
        Must("properties.functionAppConfig.deployment.storage.type", ("blobContainer",)),
        Must(
            "properties.functionAppConfig.deployment.storage.authentication.type",
            ("UserAssignedIdentity",),
        ),
        Must("properties.functionAppConfig.runtime.name", ("python",)),
    ),
}
WATCHED = (  # without diagnostic settings nobody can tell afterwards who did what
    "Microsoft.Cache/redisEnterprise",
    "Microsoft.CognitiveServices/accounts",
    "Microsoft.DocumentDB/databaseAccounts",
    "Microsoft.KeyVault/vaults",
    "Microsoft.Search/searchServices",
    "Microsoft.Storage/storageAccounts/queueServices",
)
GIVES_KEYS = re.compile(r"^list[A-Z]\w*$|^getSecret$")
KEY_IN_TEXT = re.compile(r"AccountKey=|SharedAccessKey|sig=|password=|[?&]code=", re.IGNORECASE)
SECRET_NAME = re.compile(r"KEY$|SECRET|PASSWORD|TOKEN", re.IGNORECASE)


def check_policy(file: BicepFile) -> Iterator[Finding]:
    """Yield every rule that a resource of this file breaks, in the table and in what follows it."""
    for node in file.resources.values():
        if not is_existing(node):
            body = resource_body(file, node)
            for rule in RULES.get(_type(node), ()):
                if not rule.is_kept(body):
                    yield file.finding(node, "policy", f"{_type(node)}: {rule}")
    yield from _unwatched(file)
    yield from _keys(file)
    yield from _outputs(file)
    yield from _gates(file)


def _unwatched(file: BicepFile) -> Iterator[Finding]:
    scopes = {
        text(scope)
        for node in file.resources.values()
        if _type(node) == "Microsoft.Insights/diagnosticSettings"
        for scope in _raw(node, "scope")
    }
    for symbol, node in file.resources.items():
        if _type(node) in WATCHED and not is_existing(node) and symbol not in scopes:
            yield file.finding(node, "policy", f"{_type(node)} has no diagnostic settings")


def _keys(file: BicepFile) -> Iterator[Finding]:
    for node in walk(file.root):
        if node.type == "call_expression" and GIVES_KEYS.match(
            text(operands(node)[0]).rpartition(".")[2]
        ):
            yield file.finding(node, "policy", "keys are off everywhere: use the identity")
        elif node.type == "string_content" and KEY_IN_TEXT.search(text(node)):
            yield file.finding(node, "policy", "a key or password has no place in a template")


def _outputs(file: BicepFile) -> Iterator[Finding]:
    secure = {name for name, node in file.parameters.items() if _is_secure(node)}
    for name, node in file.outputs.items():
        read = {text(part) for part in walk(node) if part.type == "identifier"}
        if SECRET_NAME.search(name) or read & secure:
            yield file.finding(
                node, "policy", f"output {name} would stay readable in the deployment history"
            )


def _gates(file: BicepFile) -> Iterator[Finding]:
    """A module may not be told anything else than what main.bicep was told."""
    for node in file.modules.values():
        value: Value | None = at(resource_body(file, node), f"params.{GATE}")
        if value is not None and getattr(value, "source", None) != GATE:
            yield file.finding(node, "policy", f"{GATE} must be passed on as it is")


def _is_secure(parameter: Node) -> bool:
    before = parameter.prev_named_sibling
    return before is not None and before.type == "decorators" and "@secure()" in text(before)


def _raw(resource: Node, name: str) -> Iterator[Node]:
    for node in walk(resource):
        if node.type == "object_property" and text(operands(node)[0]) == name:
            yield operands(node)[-1]


def _type(resource: Node) -> str:
    return type_of(resource).partition("@")[0]
