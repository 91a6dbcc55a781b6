"""Keys are off, connections are encrypted, and the private variant is closed."""

import re
from collections.abc import Iterator
from typing import Any

from infra.bicep.snapshot import Resource, Snapshot, texts_in

STORAGE = "Microsoft.Storage/storageAccounts"
NO_KEYS = {"properties.disableLocalAuth": True}
PUBLIC = {"properties.publicNetworkAccess": ("Disabled", "Enabled")}  # in the private variant, else
FIREWALL = {**PUBLIC, "properties.networkAcls.defaultAction": ("Deny", "Allow")}
PACKAGE = "properties.functionAppConfig.deployment.storage"
CLOSING: dict[str, dict[str, tuple[str, str]]] = {
    "Microsoft.Cache/redisEnterprise": PUBLIC,
    "Microsoft.CognitiveServices/accounts": FIREWALL,
    "Microsoft.DocumentDB/databaseAccounts": PUBLIC,
    "Microsoft.KeyVault/vaults": FIREWALL,
    "Microsoft.Search/searchServices": PUBLIC,
    STORAGE: FIREWALL,
}
RULES: dict[str, dict[str, Any]] = {
    "Microsoft.BotService/botServices": {**NO_KEYS, "properties.msaAppType": "UserAssignedMSI"},
    "Microsoft.Cache/redisEnterprise": {"properties.minimumTlsVersion": "1.2"},
    "Microsoft.Cache/redisEnterprise/databases": {
        "properties.accessKeysAuthentication": "Disabled",
        "properties.clientProtocol": "Encrypted",
        "properties.clusteringPolicy": "NoCluster",
        "properties.evictionPolicy": "VolatileLRU",
    },
    "Microsoft.CognitiveServices/accounts": {**NO_KEYS, "identity.type": "SystemAssigned"},
    "Microsoft.DocumentDB/databaseAccounts": {
        **NO_KEYS,
        "properties.disableKeyBasedMetadataWriteAccess": True,
        "properties.minimalTlsVersion": "Tls12",
        "properties.backupPolicy.continuousModeProperties.tier": "Continuous7Days",
    },
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.KeyVault/vaults": {
        "properties.enableRbacAuthorization": True,
        "properties.enableSoftDelete": True,
        "properties.enablePurgeProtection": True,
    },
    "Microsoft.KeyVault/vaults/keys": {
        "properties.kty": "EC",
        "properties.curveName": "P-256",
        "properties.keyOps": ["sign", "verify"],
    },
    "Microsoft.Network/networkSecurityGroups": {"properties.securityRules": None},  # opens no port
    "Microsoft.OperationalInsights/workspaces": {"properties.features.disableLocalAuth": True},
    "Microsoft.Search/searchServices": NO_KEYS,
    STORAGE: {
        "properties.allowBlobPublicAccess": False,
        "properties.allowCrossTenantReplication": False,
        "properties.allowSharedKeyAccess": False,
        "properties.defaultToOAuthAuthentication": True,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.networkAcls.bypass": "AzureServices",
        "properties.supportsHttpsTrafficOnly": True,
    },
    f"{STORAGE}/blobServices/containers": {"properties.publicAccess": "None"},
    "Microsoft.Web/serverfarms": {"sku.name": "FC1", "properties.reserved": True},
    "Microsoft.Web/sites": {
        "kind": "functionapp,linux",
        "identity.type": "UserAssigned",
        "properties.httpsOnly": True,
        "properties.siteConfig.cors": None,
        "properties.siteConfig.ftpsState": "Disabled",
        "properties.siteConfig.http20Enabled": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.remoteDebuggingEnabled": None,
        "properties.functionAppConfig.runtime.name": "python",
        f"{PACKAGE}.type": "blobContainer",
        f"{PACKAGE}.authentication.type": "UserAssignedIdentity",
    },
}
UNRULED = re.compile(  # types that have nothing to close, or that other checks read
    r"Microsoft\.(Authorization/roleAssignments|Consumption/budgets|Resources/resourceGroups)|"
    r"Microsoft\.Network/(private(DnsZones|Endpoints)(/.*)?|virtualNetworks)|"
    r"Microsoft\.Insights/(actionGroups|diagnosticSettings|metricAlerts|scheduledQueryRules)|"
    r"Microsoft\.ManagedIdentity/userAssignedIdentities|.*/(blobServices|queueServices(/queues)?)|"
    r".*/(accessPolicyAssignments|channels|config|deployments|secrets|sqlDatabases.*|sqlRole\w+)"
)
GIVES_KEYS = re.compile(r"\blist[A-Z]\w*\(|\bgetSecret\(")
KEY_IN_TEXT = re.compile(r"AccountKey=|SharedAccessKey|[?&]sig=|password=|[?&]code=", re.IGNORECASE)
SECRET_NAME = re.compile(r"KEY$|SECRET|PASSWORD|TOKEN", re.IGNORECASE)


def check_policy(snapshot: Snapshot) -> Iterator[str]:
    """Yield every rule that a resource breaks, and every type that no rule knows."""
    for resource in snapshot.resources:
        if resource.type not in RULES and not UNRULED.fullmatch(resource.type):
            yield f"{resource.type}: no policy: add its rules to infra/check/policy.py"
        for path, wanted in _rules_for(resource, private=snapshot.is_private).items():
            if resource.at(path) != wanted:
                yield f"{resource.name}: {path} must be {wanted!r}, not {resource.at(path)!r}"
        for text in texts_in(resource.body):
            if GIVES_KEYS.search(text) or KEY_IN_TEXT.search(text):
                yield f"{resource.name}: keys are off everywhere: use the identity"
    for name in snapshot.outputs:
        if SECRET_NAME.search(name):
            yield f"output {name} would stay readable in the deployment history"


def _rules_for(resource: Resource, *, private: bool) -> dict[str, Any]:
    closing = CLOSING.get(resource.type, {})
    gates = {path: closed if private else opened for path, (closed, opened) in closing.items()}
    return {**RULES.get(resource.type, {}), **gates}
