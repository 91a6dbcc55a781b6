"""Checks who may do what: every right by its GUID, on one resource, in two modules."""

from collections.abc import Iterator

from tree_sitter import Node

from infra.check.bicep import BicepFile, fields_of, text, type_of
from infra.check.finding import Finding
from infra.check.values import Known, Unknown, at, leaves, resource_body

HOMES = ("access.bicep", "access-optional.bicep")
ROLE_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
ASSIGNMENTS = {  # and where each names its principal
    ROLE_ASSIGNMENT: "properties.principalId",
    "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments": "properties.principalId",
    "Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments": "properties.user.objectId",
}
BLOBS, QUEUES, TABLES = (
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",  # Storage Blob Data Owner: the host's leases and keys, the package
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88",  # Storage Queue Data Contributor: trigger, its retries, output, length
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",  # Storage Table Data Contributor: the host's diagnostic events
)
APP = {
    ("Microsoft.Storage/storageAccounts", BLOBS),
    ("Microsoft.Storage/storageAccounts/queueServices/queues", QUEUES),
    ("Microsoft.Storage/storageAccounts", TABLES),
    (
        "Microsoft.Insights/components",
        "3913510d-42f4-4e42-8a64-420c390055eb",
    ),  # Monitoring Metrics Publisher
    (
        "Microsoft.KeyVault/vaults/keys",
        "12338af0-0e69-4776-bea7-57ae8d297424",
    ),  # Key Vault Crypto User
    (
        "Microsoft.KeyVault/vaults/secrets",
        "4633458b-17de-408a-b874-0445c86b69e6",
    ),  # Key Vault Secrets User
    (
        "Microsoft.CognitiveServices/accounts",
        "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    ),  # Cognitive Services OpenAI User
    (
        "Microsoft.Search/searchServices",
        "1407120a-92aa-4202-b7e9-c0e197c71c8f",
    ),  # Search Index Data Reader
}
DEVELOPER = {
    (
        "Microsoft.CognitiveServices/accounts",
        "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",
    ),  # Cognitive Services OpenAI User
    (
        "Microsoft.Search/searchServices",
        "8ebe5a00-799e-43f5-93ac-243d3dce84a7",
    ),  # Search Index Data Contributor
    (
        "Microsoft.Search/searchServices",
        "7ca78c08-252a-4471-8644-bb5ff32d4ba0",
    ),  # Search Service Contributor
}
GRANTED = {"appId": APP, "developerId": DEVELOPER}
COSMOS_ROLES = {
    "00000000-0000-0000-0000-000000000001",
    "00000000-0000-0000-0000-000000000002",
}  # Data Reader, Contributor


def check_rights(file: BicepFile) -> Iterator[Finding]:
    """Yield rights that are too wide, unknown, or given elsewhere."""
    for node in file.resources.values():
        kind = type_of(node).partition("@")[0]
        if kind not in ASSIGNMENTS:
            continue
        if file.path.name not in HOMES:
            yield file.finding(node, "rights", f"rights are given in {' and '.join(HOMES)} only")
        principal = _principal(file, node)
        if principal not in GRANTED:
            yield file.finding(
                node, "rights", f"{principal or 'nobody'} is neither {' nor '.join(GRANTED)}"
            )
        if kind == ROLE_ASSIGNMENT:
            yield from _role_faults(file, node, GRANTED.get(principal, set()))
        elif kind == "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments":
            yield from _cosmos_faults(file, node)


def rights_of(file: BicepFile, principal: str) -> set[tuple[str, str]]:
    """What a file lets a principal do, beside its data: kinds of resources with role GUIDs."""
    nodes = [node for node in file.resources.values() if type_of(node).startswith(ROLE_ASSIGNMENT)]
    ours = [node for node in nodes if _principal(file, node) == principal]
    return {(_target(file, node), role) for node in ours for role in _roles(file, node)}


def _role_faults(file: BicepFile, node: Node, granted: set[tuple[str, str]]) -> Iterator[Finding]:
    kind = _target(file, node)
    if not kind:
        yield file.finding(
            node, "rights", "a right needs one resource as its scope, not a group or subscription"
        )
        return
    for role in _roles(file, node):
        if (kind, role) not in granted:
            yield file.finding(
                node, "rights", f"{role} on {kind} is not among the rights of this principal"
            )
    kinds = leaves(at(resource_body(file, node), "properties.principalType"))
    if not kinds or not all(isinstance(kind, Known) for kind in kinds):
        yield file.finding(
            node, "rights", "principalType must be said: without it fresh identities are refused"
        )


def _principal(file: BicepFile, node: Node) -> str:
    """Who gets a right, by the name of the parameter; all of them, if it may be several."""
    return ", ".join(
        map(
            _text,
            leaves(at(resource_body(file, node), ASSIGNMENTS[type_of(node).partition("@")[0]])),
        )
    )


def _target(file: BicepFile, node: Node) -> str:
    """The type of the resource a right is on; of an array of resources, of each."""
    fields = fields_of(node)
    target = (
        file.resources.get(text(fields["scope"]).partition("[")[0]) if "scope" in fields else None
    )
    return type_of(target).partition("@")[0] if target is not None else ""


def _roles(file: BicepFile, node: Node) -> Iterator[str]:
    """The role GUIDs an assignment gives, through variables and loops; what is not constant as it is written."""
    value = at(resource_body(file, node), "properties.roleDefinitionId")
    for leaf in leaves(value):
        yield str(leaf.constant) if isinstance(leaf, Known) else leaf.source


def _cosmos_faults(file: BicepFile, node: Node) -> Iterator[Finding]:
    body = resource_body(file, node)
    scopes = [_text(leaf) for leaf in leaves(at(body, "properties.scope"))]
    roles = [_text(leaf) for leaf in leaves(at(body, "properties.roleDefinitionId"))]
    if not scopes or not all("/dbs/" in scope for scope in scopes):
        yield file.finding(
            node, "rights", "the scope must be the database: <account id>/dbs/<name>"
        )
    if not roles or not all(role.rpartition("/")[2] in COSMOS_ROLES for role in roles):
        yield file.finding(node, "rights", "not one of Cosmos DB's two data-plane roles")


def _text(leaf: Known | Unknown) -> str:
    return str(leaf.constant) if isinstance(leaf, Known) else leaf.source
