"""Nothing on Azure answers to a key, listens in clear text or grants more than is needed."""

import pytest

from infra.check.bicep import text, type_of
from infra.check.policy import RULES
from infra.check.rights import GRANTED, HOMES, rights_of
from infra.check.run import bicep_files
from infra.check.values import Choice, Listing, at, items_of, resource_body
from tests.infra.conftest import Said

AI, APP, ALERTS = "modules/openai.bicep", "modules/app.bicep", "modules/alerts.bicep"
ACCESS, OPTIONAL = "modules/access.bicep", "modules/access-optional.bicep"
BOT, COSMOS, MAIN = "modules/bot.bicep", "modules/cosmos.bicep", "main.bicep"
MONITORING, REDIS, SEARCH = (
    "modules/monitoring.bicep",
    "modules/redis.bicep",
    "modules/search.bicep",
)
STORAGE, VAULT, DIGEST = (
    "modules/storage.bicep",
    "modules/vault.bicep",
    "modules/digest-secret.bicep",
)
GATE = "privateNetwork ? 'Disabled' : 'Enabled'"
ELSEWHERE = """
resource extra 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(name)
  scope: search
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '1407120a-92aa-4202-b7e9-c0e197c71c8f'
  }
}
"""
FLIPS = {
    "keys of storage": (STORAGE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true"),
    "public blobs": (STORAGE, "allowBlobPublicAccess: false", "allowBlobPublicAccess: true"),
    "a public container": (STORAGE, "publicAccess: 'None'", "publicAccess: 'Blob'"),
    "old TLS of storage": (STORAGE, "'TLS1_2'", "'TLS1_0'"),
    "plain HTTP to storage": (
        STORAGE,
        "supportsHttpsTrafficOnly: true",
        "supportsHttpsTrafficOnly: false",
    ),
    "keys of Cosmos DB": (COSMOS, "disableLocalAuth: true", "disableLocalAuth: false"),
    "metadata by key": (
        COSMOS,
        "disableKeyBasedMetadataWriteAccess: true",
        "disableKeyBasedMetadataWriteAccess: false",
    ),
    "old TLS of Cosmos DB": (COSMOS, "'Tls12'", "'Tls'"),
    "keys of Redis": (
        REDIS,
        "accessKeysAuthentication: 'Disabled'",
        "accessKeysAuthentication: 'Enabled'",
    ),
    "keys of Redis by default": (REDIS, "    accessKeysAuthentication: 'Disabled'\n", ""),
    "clear text to Redis": (REDIS, "'Encrypted'", "'Plaintext'"),
    "old TLS of Redis": (REDIS, "minimumTlsVersion: '1.2'", "minimumTlsVersion: '1.0'"),
    "keys of the models": (AI, "disableLocalAuth: true", "disableLocalAuth: false"),
    "keys of search": (SEARCH, "disableLocalAuth: true", "disableLocalAuth: false"),
    "anonymous telemetry": (MONITORING, "DisableLocalAuth: true", "DisableLocalAuth: false"),
    "keys of the workspace": (MONITORING, "disableLocalAuth: true", "disableLocalAuth: false"),
    "keys of the bot": (BOT, "disableLocalAuth: true", "disableLocalAuth: false"),
    "a bot with a password": (BOT, "'UserAssignedMSI'", "'SingleTenant'"),
    "plain HTTP to the app": (APP, "httpsOnly: true", "httpsOnly: false"),
    "plain HTTP by a condition": (
        APP,
        "httpsOnly: true",
        "httpsOnly: zoneRedundant ? true : false",
    ),
    "old TLS of the app": (APP, "minTlsVersion: '1.2'", "minTlsVersion: '1.0'"),
    "FTP": (APP, "ftpsState: 'Disabled'", "ftpsState: 'AllAllowed'"),
    "a package by key": (
        APP,
        "type: 'UserAssignedIdentity'",
        "type: 'StorageAccountConnectionString'",
    ),
    "policies instead of roles": (
        VAULT,
        "enableRbacAuthorization: true",
        "enableRbacAuthorization: false",
    ),
    "a vault that can be purged": (VAULT, "    enablePurgeProtection: true\n", ""),
    "a weak key": (VAULT, "'P-256'", "'P-256K'"),
    "a key that decrypts": (VAULT, "      'sign'\n", "      'sign'\n      'decrypt'\n"),
    "storage always public": (STORAGE, GATE, "'Enabled'"),
    "Cosmos DB always public": (COSMOS, GATE, "'Enabled'"),
    "a gate turned round": (REDIS, GATE, "privateNetwork ? 'Enabled' : 'Disabled'"),
    "another gate": (AI, GATE, "empty(name) ? 'Disabled' : 'Enabled'"),
    "a firewall open": (VAULT, "privateNetwork ? 'Deny' : 'Allow'", "'Allow'"),
    "a gate held open": (
        MAIN,
        "    privateNetwork: privateNetwork\n",
        "    privateNetwork: false\n",
    ),
    "a Redis of shards": (REDIS, "'NoCluster'", "'OSSCluster'"),
    "a firewall of the models": (AI, "privateNetwork ? 'Deny' : 'Allow'", "'Allow'"),
    "a firewall of storage": (STORAGE, "privateNetwork ? 'Deny' : 'Allow'", "'Allow'"),
    "a vault always public": (VAULT, GATE, "'Enabled'"),
    "search always public": (SEARCH, GATE, "'Enabled'"),
    "a vault that forgets": (VAULT, "enableSoftDelete: true", "enableSoftDelete: false"),
    "a key of another kind": (VAULT, "kty: 'EC'", "kty: 'RSA'"),
    "copies to other tenants": (
        STORAGE,
        "allowCrossTenantReplication: false",
        "allowCrossTenantReplication: true",
    ),
    "keys in the portal": (
        STORAGE,
        "defaultToOAuthAuthentication: true",
        "defaultToOAuthAuthentication: false",
    ),
    "an identity nobody gave rights": (
        APP,
        "    type: 'UserAssigned'\n",
        "    type: 'SystemAssigned'\n",
    ),
    "another plan": (APP, "    name: 'FC1'\n", "    name: 'EP1'\n"),
    "another tier": (APP, "tier: 'FlexConsumption'", "tier: 'ElasticPremium'"),
    "a plan for Windows": (APP, "    reserved: true\n", ""),
    "an app for Windows": (APP, "kind: 'functionapp,linux'", "kind: 'functionapp'"),
    "a package elsewhere": (APP, "          type: 'blobContainer'\n", ""),
    "another language": (APP, "name: 'python'", "name: 'node'"),
    "nobody looking": (VAULT, "  scope: vault\n", "  scope: receiptKey\n"),
    "asking for keys": (
        STORAGE,
        "output id string = account.id",
        "output id string = account.listKeys().keys[0].value",
    ),
    "asking for keys, the old way": (
        STORAGE,
        "output id string = account.id",
        "output id string = listKeys(name, '1')",
    ),
    "a key in a text": (
        STORAGE,
        "output id string = account.id",
        "output id string = 'x;AccountKey=${name}'",
    ),
    "a secret put out": (
        DIGEST,
        "output name string = secret.name",
        "output name string = digestKey",
    ),
    "a password put out": (MAIN, "output BOT_NAME string", "output BOT_PASSWORD string"),
}
RIGHTS = {
    "an owner": (
        OPTIONAL,
        "openAiUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'",
        "openAiUser: '8e3af657-a8ff-443c-a75c-2fe8c4bcb635'",
    ),
    "a contributor in a loop": (
        ACCESS,
        "  roles.storageTableDataContributor\n]",
        "  'b24988ac-6180-42a0-ab88-20f7382dd24c'\n]",
    ),
    "one more than needed": (
        OPTIONAL,
        "roles.searchIndexDataReader)\n  }",
        "roles.searchServiceContributor)\n  }",
    ),
    "the whole vault": (ACCESS, "  scope: digestSecret\n", "  scope: vault\n"),
    "the whole group": (ACCESS, "  scope: storage\n", ""),
    "nobody's kind": (ACCESS, "    principalType: 'ServicePrincipal'\n", ""),
    "every queue there is": (ACCESS, "  scope: queues[i]\n", "  scope: storage\n"),
    "a role without retries": (
        ACCESS,
        "'974c5e8b-45b9-4653-ba55-5f855dd0fb88'",
        "'8a0f0c08-91a1-4084-bc3d-661d67233fed'",
    ),
    "a name for a GUID": (OPTIONAL, "roles.openAiUser)\n  }", "openAiName)\n  }"),
    "the whole account": (ACCESS, "scope: '${cosmos.id}/dbs/${databaseName}'", "scope: cosmos.id"),
    "Cosmos DB's control plane": (
        ACCESS,
        "var cosmosDataContributor = '00000000-0000-0000-0000-000000000002'",
        "var cosmosDataContributor = '5bd9cd88-fe45-4216-938b-f97437e15450'",
    ),
    "somebody else": (ACCESS, "    principalId: appId\n", "    principalId: cosmosName\n"),
    "data for somebody else": (
        ACCESS,
        "    principalId: appId\n    roleDefinitionId: '${cosmos.id}",
        "    principalId: cosmosName\n    roleDefinitionId: '${cosmos.id}",
    ),
    "data for nobody": (
        ACCESS,
        "    principalId: developerId\n    roleDefinitionId: '${cosmos.id}",
        "    roleDefinitionId: '${cosmos.id}",
    ),
    "sessions for somebody else": (
        OPTIONAL,
        "      objectId: appId\n",
        "      objectId: redisName\n",
    ),
    "rights given elsewhere": (SEARCH, "output id string", f"{ELSEWHERE}\noutput id string"),
}
SETTINGS = {
    "storage by key": (
        APP,
        "AzureWebJobsStorage__credential: 'managedidentity'",
        "AzureWebJobsStorage__credential: 'key'",
    ),
    "storage without identity": (
        APP,
        "    AzureWebJobsStorage__credential: 'managedidentity'\n",
        "",
    ),
    "a connection string": (APP, "AzureWebJobsStorage__blobServiceUri", "AzureWebJobsStorage"),
    "telemetry without identity": (APP, "Authorization=AAD", "Authorization=None"),
    "a setting Flex refuses": (APP, "PYTHON_ENABLE_INIT_INDEXING", "FUNCTIONS_WORKER_RUNTIME"),
    "a setting of another plan": (APP, "PYTHON_ENABLE_INIT_INDEXING", "WEBSITE_RUN_FROM_PACKAGE"),
    "a property of another plan": (
        APP,
        "      ftpsState:",
        "      alwaysOn: true\n      ftpsState:",
    ),
    "a key for the app": (MAIN, "      CHAT_MODEL:", "      COSMOS_KEY: 'C2y6'\n      CHAT_MODEL:"),
    "a secret in the open": (MAIN, "vault.outputs.digestReference", "environmentName"),
}


@pytest.mark.parametrize(("file", "right", "wrong"), FLIPS.values(), ids=FLIPS)
def test_a_door_left_open_is_noticed(said_of: Said, file: str, right: str, wrong: str) -> None:
    """One line that weakens a resource is found by the policy table."""
    assert "policy" in {finding.rule for finding in said_of(file, right, wrong)}


@pytest.mark.parametrize(("file", "right", "wrong"), RIGHTS.values(), ids=RIGHTS)
def test_a_right_too_many_is_noticed(said_of: Said, file: str, right: str, wrong: str) -> None:
    """A role that is not on the list, or reaches further than one resource, is found."""
    assert "rights" in {finding.rule for finding in said_of(file, right, wrong)}


@pytest.mark.parametrize(("principal", "granted"), GRANTED.items())
def test_no_right_is_missing(principal: str, granted: set[tuple[str, str]]) -> None:
    """What stands on the list is given: without a role the app starts, and fails at what it is for."""
    given = [rights_of(file, principal) for file in bicep_files() if file.path.name in HOMES]
    assert len(given) == len(HOMES)
    assert set.union(*given) == granted


@pytest.mark.parametrize(("file", "right", "wrong"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_that_cannot_be_is_noticed(
    said_of: Said, file: str, right: str, wrong: str
) -> None:
    """A connection without identity, a secret, or what Flex Consumption refuses is found."""
    assert "app-setting" in {finding.rule for finding in said_of(file, right, wrong)}


def test_every_rule_has_a_resource_to_hold_for() -> None:
    """No row of the policy table speaks of a type that is not deployed."""
    deployed = {
        type_of(node).partition("@")[0]
        for file in bicep_files()
        for node in file.resources.values()
    }
    assert set(RULES) - deployed == set()


@pytest.mark.parametrize(
    ("module", "symbol", "path", "value"),
    [
        ("app", "site", "properties.functionAppConfig.runtime.name", "python"),
        ("redis", "database", "properties.clusteringPolicy", "NoCluster"),
        ("redis", "database", "properties.port", 10000),
        ("redis", "database", "properties.evictionPolicy", "VolatileLRU"),
        ("openai", "embedding", "properties.versionUpgradeOption", "NoAutoUpgrade"),
        ("openai", "account", "kind", "AIServices"),
        ("openai", "chat", "properties.versionUpgradeOption", "OnceCurrentVersionExpired"),
        ("cosmos", "account", "kind", "GlobalDocumentDB"),
        (
            "cosmos",
            "account",
            "properties.backupPolicy.continuousModeProperties.tier",
            "Continuous7Days",
        ),
    ],
)
def test_what_the_code_relies_on_is_deployed(
    module: str, symbol: str, path: str, value: object
) -> None:
    """The plain Redis client, the fixed embedding model and the backups that the documents promise are there."""
    file = next(file for file in bicep_files() if file.path.stem == module)
    assert getattr(at(resource_body(file, file.resources[symbol]), path), "constant", None) == value


@pytest.mark.parametrize(
    ("module", "symbol", "path", "value"),
    [
        ("app", "site", "properties.serverFarmId", "plan.id"),
        ("app", "site", "properties.keyVaultReferenceIdentity", "identityId"),
        (
            "app",
            "site",
            "properties.functionAppConfig.deployment.storage.authentication.userAssignedIdentityResourceId",
            "identityId",
        ),
        ("bot", "bot", "properties.msaAppTenantId", "tenant().tenantId"),
        ("monitoring", "appInsights", "properties.WorkspaceResourceId", "workspace.id"),
        ("openai", "account", "properties.customSubDomainName", "name"),
        ("openai", "chat", "properties.model.name", "chatModel"),
        ("openai", "chat", "properties.model.version", "chatModelVersion"),
        ("openai", "embedding", "properties.model.name", "embeddingModel"),
        ("openai", "embedding", "properties.model.version", "embeddingModelVersion"),
    ],
)
def test_what_belongs_together_is_tied(module: str, symbol: str, path: str, value: str) -> None:
    """The app finds its plan, its package, its secret and its models; nothing of that has a default that works."""
    file = next(file for file in bicep_files() if file.path.stem == module)
    assert getattr(at(resource_body(file, file.resources[symbol]), path), "source", "") == value


def test_the_app_is_the_identity_that_has_the_rights() -> None:
    """The site carries the one identity that main.bicep makes."""
    site = next(file for file in bicep_files() if file.path.stem == "app").resources["site"]
    assert "userAssignedIdentities: {\n      '${identityId}': {}\n    }" in text(site)


def test_cosmos_can_search_from_the_start() -> None:
    """Both searches must be asked for when the account is made; the containers' policies want them."""
    file = next(file for file in bicep_files() if file.path.stem == "cosmos")
    capabilities = at(resource_body(file, file.resources["account"]), "properties.capabilities")
    assert isinstance(capabilities, Choice)
    search = ["EnableNoSQLVectorSearch", "EnableNoSQLFullTextSearch"]
    names = [
        [getattr(at(one, "name"), "constant", None) for one in items_of(option)]
        for option in capabilities.options
    ]
    assert names == [[*search, "EnableServerless"], search]


def test_only_answers_are_kept_warm() -> None:
    """Somebody waits for HTTP; the queue and the timers may take their time to start."""
    app = next(file for file in bicep_files() if file.path.stem == "app")
    warm = at(
        resource_body(app, app.resources["site"]),
        "properties.functionAppConfig.scaleAndConcurrency.alwaysReady",
    )
    assert isinstance(warm, Choice)
    lists = [option.items for option in warm.options if isinstance(option, Listing)]
    assert [[getattr(at(one, "name"), "constant", None) for one in items] for items in lists] == [
        ["http"],
        [],
    ]
    assert [getattr(at(one, "instanceCount"), "source", "") for one in lists[0]] == [
        "alwaysReadyHttp"
    ]


def test_bounded_staleness_says_its_bounds() -> None:
    """Azure refuses that level without both numbers, and in one region less than 5 seconds or 10 writes."""
    file = next(file for file in bicep_files() if file.path.stem == "cosmos")
    policy = at(resource_body(file, file.resources["account"]), "properties.consistencyPolicy")
    assert isinstance(policy, Choice)
    assert policy.condition == "consistency == 'BoundedStaleness'"
    bounds = [
        [
            getattr(at(option, name), "constant", None)
            for name in ("maxIntervalInSeconds", "maxStalenessPrefix")
        ]
        for option in policy.options
    ]
    assert bounds == [[5, 100], [None, None]]


def test_cosmos_is_strongly_consistent_unless_asked_otherwise() -> None:
    """A reply to one instance is seen by the next."""
    main = next(file for file in bicep_files() if file.path.stem == "main")
    assert (main.parameters["cosmosConsistency"].text or b"").endswith(b"string = 'Strong'")
    offered = at(resource_body(main, main.modules["cosmos"]), "params.consistency")
    assert isinstance(offered, Choice)
    assert "Session" in {getattr(option, "constant", None) for option in offered.options}
