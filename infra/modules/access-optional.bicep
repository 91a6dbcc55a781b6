metadata description = 'Rights on models, Redis and AI Search.'

// Rights on the services that a deployment may omit: models, Redis, search.

@description('Name of the identity that the app runs as.')
param identityName string

@description('Object id of that identity.')
param appId string

@description('Object id of a developer who runs the app locally against these resources; empty: nobody.')
param developerId string

@description('Null: none, or one that is not part of this deployment.')
param openAiName string?
param redisName string?
param searchName string?

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

resource openAi 'Microsoft.CognitiveServices/accounts@2026-09-01' existing = if (openAiName != null) {
  name: openAiName ?? 'none'
}

resource redis 'Microsoft.Cache/redisEnterprise@2026-09-01' existing = if (redisName != null) {
  name: redisName ?? 'none'
}

resource redisDatabase 'Microsoft.Cache/redisEnterprise/databases@2026-09-01' existing = if (redisName != null) {
  parent: redis
  name: 'default'
}

resource search 'Microsoft.Search/searchServices@2025-05-01' existing = if (searchName != null) {
  name: searchName ?? 'none'
}

resource appModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (openAiName != null) {
  name: guid(openAi.id, identityName, roles.openAiUser)
  scope: openAi
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.openAiUser
    )
  }
}

resource developerModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (openAiName != null && !empty(developerId)) {
  name: guid(openAi.id, developerId, roles.openAiUser)
  scope: openAi
  properties: {
    principalId: developerId
    principalType: 'User'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.openAiUser
    )
  }
}

// The app reads shared knowledge; a developer maintains the index.
resource appKnowledge 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (searchName != null) {
  name: guid(search.id, identityName, roles.searchIndexDataReader)
  scope: search
  properties: {
    principalId: appId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.searchIndexDataReader
    )
  }
}

resource developerKnowledge 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in (searchName != null && !empty(developerId) ? indexerRoles : []): {
    name: guid(search.id, developerId, role)
    scope: search
    properties: {
      principalId: developerId
      principalType: 'User'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

// Azure Managed Redis has one policy, and accepts no hyphens in names.
resource appSessions 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2026-09-01' = if (redisName != null) {
  parent: redisDatabase
  name: 'app'
  properties: {
    accessPolicyName: 'default'
    user: {
      objectId: appId
    }
  }
}

resource developerSessions 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments@2026-09-01' = if (redisName != null && !empty(developerId)) {
  parent: redisDatabase
  name: 'developer'
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
