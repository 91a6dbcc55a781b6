// Rights on what a deployment may do without, and may take long to make: models, Redis, search.

@description('Object id of the identity the app runs as.')
param appId string

@description('Object id of the developer who runs the app on a laptop against these resources; empty: nobody.')
param developerId string

@description('Empty: there is none, or it is not ours to give rights on.')
param openAiName string
param redisName string
param searchName string

var roles = {
  openAiUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'
  searchIndexDataContributor: '8ebe5a00-799e-43f5-93ac-243d3dce84a7'
  searchIndexDataReader: '1407120a-92aa-4202-b7e9-c0e197c71c8f'
  searchServiceContributor: '7ca78c08-252a-4471-8644-bb5ff32d4ba0'
}
var indexerRoles = [
  roles.searchIndexDataContributor
  roles.searchServiceContributor
]
var openAiDeveloper = empty(openAiName) ? '' : developerId
var redisDeveloper = empty(redisName) ? '' : developerId
var searchDeveloper = empty(searchName) ? '' : developerId

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
