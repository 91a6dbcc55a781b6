metadata description = 'Rights on what every deployment has: storage, Cosmos DB, the vault, telemetry.'

// All rights are here and in access-optional.bicep; there are no keys that would bypass them. Two
// modules, because a module waits for everything it needs: these rights propagate for minutes, so
// they are assigned while Redis is still created. Assignments are named after the identity, not its
// principal id: previews can then compare them (ADR 21).

@description('Name of the identity that the app runs as.')
param identityName string

@description('Object id of that identity.')
param appId string

@description('Object id of a developer who runs the app locally against these resources; empty: nobody.')
param developerId string
param appInsightsName string
param storageName string
param cosmosName string
param vaultName string
param receiptKeyName string
param digestSecretName string

var roles = {
  keyVaultCryptoUser: '12338af0-0e69-4776-bea7-57ae8d297424'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
}
// The Functions host keeps leases and keys in blobs, and diagnostic events in a table.
var hostRoles = [
  roles.storageBlobDataOwner
  roles.storageTableDataContributor
]
var declared = loadJsonContent('../queues.json')
var queueNames = [...declared.queues, ...map(declared.queues, queue => '${queue}-poison')]
var databaseName = loadJsonContent('../containers.json').database
var cosmosDataContributor = '00000000-0000-0000-0000-000000000002'

resource appInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: appInsightsName
}

resource storage 'Microsoft.Storage/storageAccounts@2026-09-01' existing = {
  name: storageName
}

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2026-09-01' existing = {
  parent: storage
  name: 'default'
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices/queues@2026-09-01' existing = [
  for queue in queueNames: {
    parent: queueService
    name: queue
  }
]

resource cosmos 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' existing = {
  name: cosmosName
}

resource vault 'Microsoft.KeyVault/vaults@2026-05-15' existing = {
  name: vaultName
}

resource receiptKey 'Microsoft.KeyVault/vaults/keys@2026-05-15' existing = {
  parent: vault
  name: receiptKeyName
}

resource digestSecret 'Microsoft.KeyVault/vaults/secrets@2026-05-15' existing = {
  parent: vault
  name: digestSecretName
}

resource appTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(appInsights.id, identityName, roles.monitoringMetricsPublisher)
  scope: appInsights
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.monitoringMetricsPublisher
    )
  }
}

resource appStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in hostRoles: {
    name: guid(storage.id, identityName, role)
    scope: storage
    properties: {
      principalId: appId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// Narrower roles can read, delete and send, but not update a message, which the host does to extend
// its visibility.
resource appQueues 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (queue, i) in queueNames: {
    name: guid(storage.id, queue, identityName, roles.storageQueueDataContributor)
    scope: queues[i]
    properties: {
      principalId: appId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        roles.storageQueueDataContributor
      )
    }
  }
]

resource appReceipts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(receiptKey.id, identityName, roles.keyVaultCryptoUser)
  scope: receiptKey
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.keyVaultCryptoUser
    )
  }
}

resource appDigests 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(digestSecret.id, identityName, roles.keyVaultSecretsUser)
  scope: digestSecret
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.keyVaultSecretsUser
    )
  }
}

resource appData 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2026-03-15' = {
  parent: cosmos
  name: guid(cosmos.id, databaseName, identityName, cosmosDataContributor)
  properties: {
    principalId: appId
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${cosmosDataContributor}'
    scope: '${cosmos.id}/dbs/${databaseName}'
  }
}

resource developerData 'Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments@2026-03-15' = if (!empty(developerId)) {
  parent: cosmos
  name: guid(cosmos.id, databaseName, developerId, cosmosDataContributor)
  properties: {
    principalId: developerId
    roleDefinitionId: '${cosmos.id}/sqlRoleDefinitions/${cosmosDataContributor}'
    scope: '${cosmos.id}/dbs/${databaseName}'
  }
}
