// Every right that anybody has is here and in access-optional.bicep: no keys exist that could go around them.
// What is here is always there, and made before anything slow, so that the rights are known when the app comes.

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

var roles = {
  keyVaultCryptoUser: '12338af0-0e69-4776-bea7-57ae8d297424'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
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
var cosmosDataContributor = '00000000-0000-0000-0000-000000000002'

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
