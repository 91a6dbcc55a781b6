"""Names: plain text, so that previews can compare them, and within Azure's limits."""

import re
from collections.abc import Iterator

from infra.bicep.snapshot import Snapshot

ACCOUNT = "Microsoft.Storage/storageAccounts"
WORDS = r"[A-Za-z0-9]([A-Za-z0-9-]{%d,%d}[A-Za-z0-9])?"
LIMITS = {  # learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    "Microsoft.BotService/botServices": r"[A-Za-z0-9][\w.-]{1,41}",
    "Microsoft.Cache/redisEnterprise": WORDS % (0, 58),
    "Microsoft.CognitiveServices/accounts": WORDS % (0, 62),
    "Microsoft.CognitiveServices/accounts/deployments": r"[A-Za-z0-9][\w.-]{1,63}",
    "Microsoft.Consumption/budgets": r"[\w-]{1,63}",
    "Microsoft.DocumentDB/databaseAccounts": r"[a-z0-9][a-z0-9-]{2,43}",
    "Microsoft.Insights/actionGroups": r"[^*<>%&:?/{}#|+\\]{1,260}(?<![ .])",
    "Microsoft.Insights/components": r"[^%&\\?/]{1,255}(?<![ .])",
    "Microsoft.Insights/metricAlerts": r"[^*<>%&:?/{}#|+\\]{1,260}(?<![ .])",
    "Microsoft.Insights/scheduledQueryRules": r"[^*<>%&:?/{}#|+\\]{1,260}(?<![ .])",
    "Microsoft.KeyVault/vaults": r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,22}[A-Za-z0-9]",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"[A-Za-z0-9][\w-]{2,127}",
    "Microsoft.Network/networkSecurityGroups": r"[A-Za-z0-9][\w.-]{0,79}",
    "Microsoft.Network/privateEndpoints": r"[A-Za-z0-9][\w.-]{1,63}",
    "Microsoft.Network/virtualNetworks": r"[A-Za-z0-9][\w.-]{1,63}",
    "Microsoft.OperationalInsights/workspaces": r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
    "Microsoft.Resources/resourceGroups": r"[\w.()-]{1,90}(?<!\.)",
    "Microsoft.Search/searchServices": r"(?!.*--)[a-z0-9][a-z0-9-]{0,58}[a-z0-9]",
    ACCOUNT: r"[a-z0-9]{3,24}",
    f"{ACCOUNT}/queueServices/queues": r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "Microsoft.Web/serverfarms": r"[A-Za-z0-9-]{1,60}",
    "Microsoft.Web/sites": r"[A-Za-z0-9][A-Za-z0-9-]{0,58}[A-Za-z0-9]",
}


def check_names(snapshot: Snapshot) -> Iterator[str]:
    """Yield names that are expressions, invalid in Azure, or given to two resources."""
    ids = [resource.id.lower() for resource in snapshot.resources]
    for resource in snapshot.resources:
        if "[" in resource.id or "[" in str(resource.body["name"]):
            yield f"{resource.type}: {resource.body['name']} is an expression"
        elif not re.fullmatch(LIMITS.get(resource.type, ".+"), resource.name):
            yield f"{resource.type}: {resource.name!r} is not a name that Azure accepts"
        if ids.count(resource.id.lower()) > 1:
            yield f"{resource.id}: two resources have this id"
