targetScope = 'subscription'

@description('Name of the azd environment: part of every name, so that a second one is a second backend.')
@minLength(1)
@maxLength(48)
param environmentName string

@description('Region; must have Flex Consumption and quota for both models.')
@minLength(1)
@metadata({
  azd: {
    type: 'location'
    usageName: [
      'OpenAI.GlobalStandard.gpt-5.4-mini,50'
      'OpenAI.GlobalStandard.text-embedding-3-small,50'
    ]
  }
})
param location string

@description('Who deploys. azd fills it in.')
param principalId string = ''

@allowed([
  'User'
  'ServicePrincipal'
])
param principalType string = 'User'

@description('Give a person who deploys the data roles that running the app on a laptop needs. Pipelines never get them.')
param developerAccess bool = true

@description('entra: callers show Entra ID tokens. key: a service that holds the Functions key says who the user is.')
@allowed([
  'entra'
  'key'
])
param authMode string = 'entra'

@description('Whom tokens must be meant for: client id or App ID URI of the app registration (docs/deploy.md makes one).')
param entraAudience string = ''

@description('Tenants whose tokens are accepted, with commas between; empty: the one deployed to.')
param entraTenantIds string = ''

@description('Client ids of apps that may act for a user, with commas between.')
param entraActingClientIds string = ''

@description('Further settings of the app by their upper-case names, such as {"RETENTION_DAYS": "30"}.')
param settings object = {}

@description('Every data service behind a private endpoint, and the app in a network. The API itself stays reachable.')
param privateNetwork bool = false

@description('A range that is free in your network plan, and a /26 or larger in it for the app and for the endpoints.')
param networkPrefix string = '10.90.0.0/16'
param appSubnetPrefix string = '10.90.0.0/24'
param endpointSubnetPrefix string = '10.90.1.0/24'

@description('Survive the loss of an availability zone, where the region has zones.')
param zoneRedundant bool = false

@allowed([
  'serverless'
  'autoscale'
])
param cosmosCapacity string = 'serverless'

@description('Name of a Cosmos DB account in the resource group to use and keep up, such as a restored one; empty: one is made.')
param cosmosAccount string = ''

@description('Request units per second a container may scale up to, with autoscale.')
@minValue(1000)
param cosmosMaxThroughput int = 4000

@allowed([
  'Strong'
  'BoundedStaleness'
  'Session'
])
param cosmosConsistency string = 'Strong'

@description('managed: Azure Managed Redis. existing: any Redis with Entra ID, by host and port. none: Cosmos DB alone.')
@allowed([
  'managed'
  'existing'
  'none'
])
param redisMode string = 'managed'
param redisSku string = 'Balanced_B0'
param redisHighAvailability bool = true
param redisHost string = ''
param redisPort int = 6380

@description('managed: an account with both models is made. existing: only its endpoint and deployment names are used.')
@allowed([
  'managed'
  'existing'
])
param openAiMode string = 'managed'
param openAiEndpoint string = ''

@description('Region of the models; empty: the same as everything else.')
param openAiLocation string = ''
param modelSku string = 'GlobalStandard'
param chatModel string = 'gpt-5.4-mini'
param chatModelVersion string = '2026-03-17'
param chatCapacity int = 50
param embeddingModel string = 'text-embedding-3-small'
param embeddingModelVersion string = '1'
param embeddingCapacity int = 50

@description('AI Search for knowledge that all users share.')
param searchEnabled bool = false
param searchSku string = 'basic'
param searchReplicas int = 1

@description('An Azure Bot with the Teams channel in front of /api/messages.')
param botEnabled bool = false

@allowed([
  'F0'
  'S1'
])
param botSku string = 'F0'

@allowed([
  '3.11'
  '3.12'
  '3.13'
])
param pythonVersion string = '3.13'

@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048
param maximumInstanceCount int = 100
param httpConcurrency int = 16
param alwaysReadyHttp int = 0

@description('Who is told by alerts and the budget.')
param alertEmail string = ''

@description('Somebody is told when a session has been due for so many seconds: three runs of the timer, or more with a rarer one.')
@minValue(60)
param oldestDueSeconds int = 900

@description('In the currency of the subscription; 0: no budget.')
param monthlyBudget int = 200
param logRetentionDays int = 30
param logDailyQuotaGb int = 1

var prefixes = loadJsonContent('./abbreviations.json')
var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
}
var developerId = developerAccess && principalType == 'User' ? principalId : ''
var hasManagedRedis = redisMode == 'managed'
var hasManagedOpenAi = openAiMode == 'managed'

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: '${prefixes.resourceGroup}${environmentName}'
  location: location
  tags: tags
}

module identity './modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: '${prefixes.identity}${token}'
    location: location
    tags: tags
  }
}

module monitoring './modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    workspaceName: '${prefixes.logAnalytics}${token}'
    appInsightsName: '${prefixes.appInsights}${token}'
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
  }
}

module network './modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  scope: group
  params: {
    name: '${prefixes.virtualNetwork}${token}'
    location: location
    tags: tags
    addressPrefix: networkPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
  }
}

module storage './modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    name: '${prefixes.storage}${token}'
    location: location
    tags: tags
    privateNetwork: privateNetwork
    zoneRedundant: zoneRedundant
    workspaceId: monitoring.outputs.workspaceId
  }
}

module cosmos './modules/cosmos.bicep' = {
  name: 'cosmos'
  scope: group
  params: {
    name: empty(cosmosAccount) ? '${prefixes.cosmos}${token}' : cosmosAccount
    location: location
    tags: tags
    privateNetwork: privateNetwork
    zoneRedundant: zoneRedundant
    serverless: cosmosCapacity == 'serverless'
    maxThroughput: cosmosMaxThroughput
    consistency: cosmosConsistency
    workspaceId: monitoring.outputs.workspaceId
  }
}

module redis './modules/redis.bicep' = if (hasManagedRedis) {
  name: 'redis'
  scope: group
  params: {
    name: '${prefixes.redis}${token}'
    location: location
    tags: tags
    privateNetwork: privateNetwork
    skuName: redisSku
    highAvailability: redisHighAvailability
    workspaceId: monitoring.outputs.workspaceId
  }
}

module openAi './modules/openai.bicep' = if (hasManagedOpenAi) {
  name: 'openai'
  scope: group
  params: {
    name: '${prefixes.openAi}${token}'
    location: empty(openAiLocation) ? location : openAiLocation
    tags: tags
    privateNetwork: privateNetwork
    deploymentSku: modelSku
    chatModel: chatModel
    chatModelVersion: chatModelVersion
    chatCapacity: chatCapacity
    embeddingModel: embeddingModel
    embeddingModelVersion: embeddingModelVersion
    embeddingCapacity: embeddingCapacity
    workspaceId: monitoring.outputs.workspaceId
  }
}

module search './modules/search.bicep' = if (searchEnabled) {
  name: 'search'
  scope: group
  params: {
    name: '${prefixes.search}${token}'
    location: location
    tags: tags
    privateNetwork: privateNetwork
    skuName: searchSku
    replicaCount: searchReplicas
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault './modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: '${prefixes.keyVault}${token}'
    location: location
    tags: tags
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

// Waits for nothing slow: rights take minutes to arrive everywhere, and these have them while Redis is being made.
module access './modules/access.bicep' = {
  name: 'access'
  scope: group
  params: {
    appId: identity.outputs.principalId
    developerId: developerId
    appInsightsName: monitoring.outputs.appInsightsName
    storageName: storage.outputs.name
    cosmosName: cosmos.outputs.name
    databaseName: cosmos.outputs.databaseName
    vaultName: vault.outputs.name
    receiptKeyName: vault.outputs.receiptKeyName
    digestName: vault.outputs.digestName
  }
}

module accessOptional './modules/access-optional.bicep' = {
  name: 'access-optional'
  scope: group
  params: {
    appId: identity.outputs.principalId
    developerId: developerId
    openAiName: hasManagedOpenAi ? openAi!.outputs.name : ''
    redisName: hasManagedRedis ? redis!.outputs.name : ''
    searchName: searchEnabled ? search!.outputs.name : ''
  }
}

module privateEndpoints './modules/private-endpoints.bicep' = if (privateNetwork) {
  name: 'private-endpoints'
  scope: group
  params: {
    location: location
    tags: tags
    networkId: privateNetwork ? network!.outputs.id : ''
    subnetId: privateNetwork ? network!.outputs.endpointSubnetId : ''
    storageId: storage.outputs.id
    cosmosId: cosmos.outputs.id
    vaultId: vault.outputs.id
    openAiId: hasManagedOpenAi ? openAi!.outputs.id : ''
    redisId: hasManagedRedis ? redis!.outputs.id : ''
    searchId: searchEnabled ? search!.outputs.id : ''
  }
}

var entraSettings = {
  ENTRA_TENANT_IDS: empty(entraTenantIds) ? tenant().tenantId : entraTenantIds
  ENTRA_AUDIENCE: entraAudience
  ENTRA_ACTING_CLIENT_IDS: entraActingClientIds
}
var authSettings = authMode == 'entra' ? entraSettings : {}
var redisManagedSettings = {
  REDIS_TLS: 'true'
  REDIS_HOST: hasManagedRedis ? redis!.outputs.hostName : ''
  REDIS_PORT: hasManagedRedis ? string(redis!.outputs.port) : ''
}
var redisExistingSettings = {
  REDIS_TLS: 'true'
  REDIS_HOST: redisHost
  REDIS_PORT: string(redisPort)
}
var redisOwnSettings = hasManagedRedis ? redisManagedSettings : redisExistingSettings
var redisSettings = redisMode == 'none' ? {} : redisOwnSettings

// The roles come first: without them the first start finds no package, no secret and no data.
module app './modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    name: '${prefixes.functionApp}${token}'
    planName: '${prefixes.plan}${token}'
    location: location
    tags: union(tags, {
      'azd-service-name': 'api'
    })
    pythonVersion: pythonVersion
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    tableEndpoint: storage.outputs.tableEndpoint
    packageContainerName: storage.outputs.packageContainerName
    appInsightsConnectionString: monitoring.outputs.connectionString
    subnetId: privateNetwork ? network!.outputs.appSubnetId : ''
    zoneRedundant: zoneRedundant
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    appSettings: union(settings, redisSettings, authSettings, {
      AUTH_MODE: authMode
      COSMOS_ENDPOINT: cosmos.outputs.endpoint
      COSMOS_DATABASE: cosmos.outputs.databaseName
      QUEUE_ENDPOINT: storage.outputs.queueEndpoint
      AZURE_OPENAI_ENDPOINT: hasManagedOpenAi ? openAi!.outputs.endpoint : openAiEndpoint
      CHAT_MODEL: hasManagedOpenAi ? openAi!.outputs.chatDeployment : chatModel
      EMBEDDING_MODEL: hasManagedOpenAi ? openAi!.outputs.embeddingDeployment : embeddingModel
      LOG_DIGEST_KEY: vault.outputs.digestReference
    })
  }
  dependsOn: [
    access
    accessOptional
    privateEndpoints
  ]
}

module bot './modules/bot.bicep' = if (botEnabled) {
  name: 'bot'
  scope: group
  params: {
    name: '${prefixes.bot}${token}'
    tags: tags
    skuName: botSku
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    endpoint: 'https://${app.outputs.hostName}/api/messages'
  }
}

module alerts './modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    namePrefix: 'keepsake-${environmentName}'
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    redisId: hasManagedRedis ? redis!.outputs.id : ''
    oldestDueSeconds: oldestDueSeconds
    email: alertEmail
  }
}

module budget './modules/budget.bicep' = if (monthlyBudget > 0) {
  name: 'budget'
  scope: group
  params: {
    name: 'keepsake-${environmentName}-monthly'
    amount: monthlyBudget
    email: alertEmail
  }
}

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenant().tenantId
output AZURE_RESOURCE_GROUP string = group.name
output SERVICE_API_NAME string = app.outputs.name
output SERVICE_API_IDENTITY string = identity.outputs.principalId
output SERVICE_API_URI string = 'https://${app.outputs.hostName}/api'
output COSMOS_ENDPOINT string = cosmos.outputs.endpoint
output COSMOS_DATABASE string = cosmos.outputs.databaseName
output REDIS_HOST string = hasManagedRedis ? redis!.outputs.hostName : redisHost
output REDIS_PORT string = hasManagedRedis ? string(redis!.outputs.port) : string(redisPort)
output AZURE_OPENAI_ENDPOINT string = hasManagedOpenAi ? openAi!.outputs.endpoint : openAiEndpoint
output CHAT_MODEL string = hasManagedOpenAi ? openAi!.outputs.chatDeployment : chatModel
output EMBEDDING_MODEL string = hasManagedOpenAi ? openAi!.outputs.embeddingDeployment : embeddingModel
output AZURE_SEARCH_ENDPOINT string = searchEnabled ? search!.outputs.endpoint : ''
output RECEIPT_KEY_URL string = vault.outputs.receiptKeyUrl
output BOT_NAME string = botEnabled ? bot!.outputs.name : ''
