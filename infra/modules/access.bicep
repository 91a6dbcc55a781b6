// Every right that anybody has, and nowhere else: no keys exist that could go around it.

@description('Object id of the identity the app runs as.')
param appId string

@description('Object id of the developer who runs the app on a laptop against these resources; empty: nobody.')
param developerId string
param appInsightsName string
param storageName string
param cosmosName string
param databaseName string
param vaultName string
param receiptKeyName string
param digestName string

@description('Empty: there is none, or it is not ours to give rights on.')
param openAiName string
param redisName string
param searchName string

var roles = {
  keyVaultCryptoUser: '12338af0-0e69-4776-bea7-57ae8d297424'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  openAiUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'
  searchIndexDataContributor: '8ebe5a00-799e-43f5-93ac-243d3dce84a7'
  searchIndexDataReader: '1407120a-92aa-4202-b7e9-c0e197c71c8f'
  searchServiceContributor: '7ca78c08-252a-4471-8644-bb5ff32d4ba0'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}
// The Functions host keeps its leases and keys in blobs, and notes its own troubles in a table.
var hostRoles = [
  roles.storageBlobDataOwner
  roles.storageTableDataContributor
]
var declared = loadJsonContent('../queues.json')
var poisonQueues = [for queue in declared.queues: '${queue}-poison']
var queueNames = concat(declared.queues, poisonQueues)
var indexerRoles = [
  roles.searchIndexDataContributor
  roles.searchServiceContributor
]
var cosmosDataContributor = '00000000-0000-0000-0000-000000000002'
var openAiDeveloper = empty(openAiName) ? '' : developerId
var redisDeveloper = empty(redisName) ? '' : developerId
var searchDeveloper = empty(searchName) ? '' : developerId

resource appInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: appInsightsName
}

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageName
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: storage
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' existing = [for queue in queueNames: {
  parent: queueService
  name: queue
}]

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2025-10-15' existing = {
  name: cosmosName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource receiptKey 'Microsoft.KeyVault/vaults/keys@2025-05-01' existing = {
  parent: vault
  name: receiptKeyName
}

resource digestSecret 'Microsoft.KeyVault/vaults/secrets@2025-05-01' existing = {
  parent: vault
  name: digestName
}

resource openAi 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = if (!empty(openAiName)) {
  name: empty(openAiName) ? 'none' : openAiName
}

resource redis 'Microsoft.Cache/redisEnterprise@2025-07-01' existing = if (!empty(redisName)) {
  name: empty(redisName) ? 'none' : redisName
}

resource redisDatabase 'Microsoft.Cache/redisEnterprise/databases@2025-07-01' existing = if (!empty(redisName)) {
  parent: redis
  name: 'default'
}

resource search 'Microsoft.Search/searchServices@2025-05-01' existing = if (!empty(searchName)) {
  name: empty(searchName) ? 'none' : searchName
}

resource appTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(appInsights.id, appId, roles.monitoringMetricsPublisher)
  scope: appInsights
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.monitoringMetricsPublisher)
  }
}

resource appStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in hostRoles: {
  name: guid(storage.id, appId, role)
  scope: storage
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

// Narrower roles read, delete and send, but may not put a message back or hide it for longer, as the host does.
resource appQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (queue, i) in queueNames: {
  name: guid(storage.id, queue, appId, roles.storageQueueDataContributor)
  scope: queues[i]
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageQueueDataContributor)
  }
}]

resource appReceipts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(receiptKey.id, appId, roles.keyVaultCryptoUser)
  scope: receiptKey
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultCryptoUser)
  }
}

resource appDigests 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(digestSecret.id, appId, roles.keyVaultSecretsUser)
  scope: digestSecret
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

resource appModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(openAiName)) {
  name: guid(openAi.id, appId, roles.openAiUser)
  scope: openAi
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.openAiUser)
  }
}

resource developerModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(openAiDeveloper)) {
  name: guid(openAi.id, developerId, roles.openAiUser)
  scope: openAi
  properties: {
    principalId: developerId
    principalType: 'User'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.openAiUser)
  }
}

// The app reads shared knowledge; whoever keeps the index fills it.
resource appKnowledge 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(searchName)) {
  name: guid(search.id, appId, roles.searchIndexDataReader)
  scope: search
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.searchIndexDataReader)
  }
}

resource developerKnowledge 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in (empty(searchDeveloper) ? [] : indexerRoles): {
  name: guid(search.id, developerId, role)
  scope: search
  properties: {
    principalId: developerId
    principalType: 'User'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource appData 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-10-15' = {
  parent: cosmos
  name: guid(cosmos.id, databaseName, appId, cosmosDataContributor)
  properties: {
    principalId: appId
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${cosmosDataContributor}'
    scope: '${cosmos.id}/dbs/${databaseName}'
  }
}

resource developerData 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2025-10-15' = if (!empty(developerId)) {
  parent: cosmos
  name: guid(cosmos.id, databaseName, developerId, cosmosDataContributor)
  properties: {
    principalId: developerId
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${cosmosDataContributor}'
    scope: '${cosmos.id}/dbs/${databaseName}'
  }
}

// Managed Redis knows one policy, and names without hyphens: a plain GUID is refused.
resource appSessions 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = if (!empty(redisName)) {
  parent: redisDatabase
  name: 'app${uniqueString(appId)}'
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: appId
    }
  }
}

resource developerSessions 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2025-07-01' = if (!empty(redisDeveloper)) {
  parent: redisDatabase
  name: 'developer${uniqueString(developerId)}'
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: developerId
    }
  }
  dependsOn: [
    appSessions
  ]
}
