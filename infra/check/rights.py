"""Who may do what: exactly these roles, on exactly these resources."""

import re
from collections.abc import Iterator

from infra.bicep.snapshot import Resource, Snapshot

ROLE_ASSIGNMENTS = "Microsoft.Authorization/roleAssignments"
COSMOS_ASSIGNMENTS = "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments"
COSMOS_DATABASES = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases"
REDIS_ASSIGNMENTS = "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments"
ROLES = {
    "12338af0-0e69-4776-bea7-57ae8d297424": "Key Vault Crypto User",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd": "Cognitive Services OpenAI User",
    "8ebe5a00-799e-43f5-93ac-243d3dce84a7": "Search Index Data Contributor",
    "1407120a-92aa-4202-b7e9-c0e197c71c8f": "Search Index Data Reader",
    "7ca78c08-252a-4471-8644-bb5ff32d4ba0": "Search Service Contributor",
    "00000000-0000-0000-0000-000000000002": "Cosmos DB Built-in Data Contributor",
}
ACCOUNT, QUEUES = "Microsoft.Storage/storageAccounts", "queueServices/queues"
INDEXER = {"Search Index Data Contributor", "Search Service Contributor"}
APP: dict[str, set[str]] = {  # on every resource of the type that is deployed
    ACCOUNT: {"Storage Blob Data Owner", "Storage Table Data Contributor"},
    f"{ACCOUNT}/{QUEUES}": {"Storage Queue Data Contributor"},
    "Microsoft.Cache/redisEnterprise/databases": {"default"},
    "Microsoft.CognitiveServices/accounts": {"Cognitive Services OpenAI User"},
    COSMOS_DATABASES: {"Cosmos DB Built-in Data Contributor"},
    "Microsoft.Insights/components": {"Monitoring Metrics Publisher"},
    "Microsoft.KeyVault/vaults/keys": {"Key Vault Crypto User"},
    "Microsoft.KeyVault/vaults/secrets": {"Key Vault Secrets User"},
    "Microsoft.Search/searchServices": {"Search Index Data Reader"},
}
DEVELOPER: dict[str, set[str]] = {
    "Microsoft.Cache/redisEnterprise/databases": {"default"},
    "Microsoft.CognitiveServices/accounts": {"Cognitive Services OpenAI User"},
    COSMOS_DATABASES: {"Cosmos DB Built-in Data Contributor"},
    "Microsoft.Search/searchServices": INDEXER,
}
GRANTED = {"app": APP, "developer": DEVELOPER}
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_rights(snapshot: Snapshot) -> Iterator[str]:
    """Yield rights that nobody should have, and rights that are missing."""
    given = set(rights_in(snapshot))
    wanted = {
        (principal, role, resource.id)
        for principal in {"app", *({"developer"} & {principal for principal, _, _ in given})}
        for resource in snapshot.resources
        for role in GRANTED[principal].get(resource.type, ())
    }
    for principal, role, resource_id in sorted(given - wanted):
        yield f"{principal} must not have {role} on {resource_id}"
    for principal, role, resource_id in sorted(wanted - given):
        yield f"{principal} needs {role} on {resource_id}"
    for resource in snapshot.of(ROLE_ASSIGNMENTS):
        kind = "User" if _principal(snapshot, resource) == "developer" else "ServicePrincipal"
        if resource.at("properties.principalType") != kind:
            yield f"{resource.id}: without principalType {kind}, Azure rejects new identities"


def rights_in(snapshot: Snapshot) -> Iterator[tuple[str, str, str]]:
    """Yield who has which role on which resource."""
    for resource in snapshot.resources:
        if resource.type in {ROLE_ASSIGNMENTS, COSMOS_ASSIGNMENTS, REDIS_ASSIGNMENTS}:
            yield _principal(snapshot, resource), _role(resource), _scope(resource)


def _principal(snapshot: Snapshot, resource: Resource) -> str:
    """The app, by its identity; the developer, by an object id."""
    principal = str(
        resource.at("properties.principalId") or resource.at("properties.user.objectId")
    )
    ids = [
        identity.id for identity in snapshot.of("Microsoft.ManagedIdentity/userAssignedIdentities")
    ]
    if principal.endswith(".principalId]") and any(f"'{each}'" in principal for each in ids):
        return "app"
    return "developer" if GUID.fullmatch(principal) else principal


def _role(resource: Resource) -> str:
    if resource.type == REDIS_ASSIGNMENTS:
        return str(resource.at("properties.accessPolicyName"))
    guid = str(resource.at("properties.roleDefinitionId")).rpartition("/")[2]
    return ROLES.get(guid, guid)


def _scope(resource: Resource) -> str:
    if resource.type == COSMOS_ASSIGNMENTS:
        return str(resource.at("properties.scope")).replace("/dbs/", "/sqlDatabases/")
    return re.split(r"/providers/Microsoft.Authorization/|/accessPolicyAssignments/", resource.id)[
        0
    ]
