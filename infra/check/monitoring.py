"""What is logged about each resource, and sent to the workspace."""

from collections.abc import Iterator

from infra.bicep.snapshot import Snapshot

SETTINGS = "Microsoft.Insights/diagnosticSettings"
LOGGED = {  # without these, nobody can tell afterwards who did what, or an alert has no rows
    "Microsoft.Cache/redisEnterprise": {"AllMetrics"},
    "Microsoft.CognitiveServices/accounts": {"Audit", "AllMetrics"},
    "Microsoft.DocumentDB/databaseAccounts": {"ControlPlaneRequests"},
    "Microsoft.KeyVault/vaults": {"AuditEvent"},
    "Microsoft.Search/searchServices": {"AllMetrics"},
    "Microsoft.Storage/storageAccounts/queueServices": {"StorageWrite"},
}


def check_monitoring(snapshot: Snapshot) -> Iterator[str]:
    """Yield resources whose logs differ from the table above, or are sent elsewhere."""
    workspaces = [each.id for each in snapshot.of("Microsoft.OperationalInsights/workspaces")]
    sent: dict[str, set[str]] = {}
    for setting in snapshot.of(SETTINGS):
        if setting.at("properties.workspaceId") in workspaces:
            entries = [
                *(setting.at("properties.logs") or []),
                *(setting.at("properties.metrics") or []),
            ]
            enabled = {entry["category"] for entry in entries if entry["enabled"]}
            sent[setting.id.partition(f"/providers/{SETTINGS}")[0]] = enabled
    for resource in snapshot.resources:
        wanted = LOGGED.get(resource.type, set())
        if sent.get(resource.id, set()) != wanted:
            yield f"{resource.name}: {sorted(wanted)} must be sent to the workspace, nothing else"
