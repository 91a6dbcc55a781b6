import { settingSet, tagSet } from './types.bicep'

targetScope = 'subscription'

@description('Names that replace the generated ones. A resource that exists under its name is taken over: it is brought to the state that the templates describe, and its data stays.')
type resourceNames = {
  @maxLength(90)
  resourceGroup: string?
  @maxLength(128)
  identity: string?
  @maxLength(63)
  logAnalytics: string?
  @maxLength(255)
  appInsights: string?
  @maxLength(64)
  virtualNetwork: string?
  @maxLength(80)
  securityGroup: string?
  @minLength(3)
  @maxLength(24)
  storage: string?
  @minLength(3)
  @maxLength(44)
  cosmos: string?
  @maxLength(50)
  redis: string?
  @minLength(2)
  @maxLength(50)
  openAi: string?
  @minLength(2)
  @maxLength(50)
  search: string?
  @minLength(3)
  @maxLength(24)
  keyVault: string?
  @maxLength(127)
  receiptKey: string?
  @maxLength(127)
  digestSecret: string?
  @maxLength(60)
  plan: string?
  @minLength(2)
  @maxLength(60)
  functionApp: string?
  @minLength(2)
  @maxLength(42)
  bot: string?
  @description('What the names of the alert rules and of their action group start with.')
  @maxLength(100)
  alerts: string?
  @maxLength(63)
  budget: string?
}

@description('Name of the azd environment. It is part of the generated names, so a second environment is a second deployment. Cost: none.')
@minLength(1)
@maxLength(48)
param environmentName string

@description('Region of all resources. It needs Flex Consumption, and quota for both models unless `OPENAI_LOCATION` names another region. Cost: prices differ between regions.')
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

@description('Object id of the person or pipeline that deploys; azd sets it. Cost: none.')
param principalId string = ''

@description('Whether a person or a pipeline deploys; azd sets it. Cost: none.')
@allowed([
  'User'
  'ServicePrincipal'
])
param principalType string = 'User'

@description('Gives the person who deploys the data roles that `func start` needs to run against the deployed resources. Pipelines never get them. Cost: none.')
param developerAccess bool = true

@description('Names that replace the generated ones, as JSON: `{"cosmos": "mycosmos"}`. An existing resource of that name in the resource group is taken over. Cost: none.')
param names resourceNames = {}

@description('How callers are authenticated. `entra`: by Entra ID tokens. `key`: by the Functions key of a service that states who the user is. Cost: none.')
@allowed([
  'entra'
  'key'
])
param authMode string = 'entra'

@description('With `entra`, the audience of accepted tokens: client id or App ID URI of the app registration. Cost: none.')
param entraAudience string = ''

@description('With `entra`, the tenants whose tokens are accepted, separated by commas; empty: the tenant of the subscription. Cost: none.')
param entraTenantIds string = ''

@description('With `entra`, the client ids of apps that may act for a user, separated by commas. Cost: none.')
param entraActingClientIds string = ''

@description('Further settings of the app, as JSON: `{"RETENTION_DAYS": "30"}`. Cost: depends on the setting.')
param settings settingSet = {}

@description('Puts every data service behind a private endpoint and the app into the network. The API itself stays public. A laptop outside of the network can no longer reach the data. Cost: about $7.30 a month per endpoint and $0.50 per DNS zone.')
param privateNetwork bool = false

@description('With `PRIVATE_NETWORK`, the address range of the network. Cost: none.')
param networkPrefix string = '10.90.0.0/16'

@description('With `PRIVATE_NETWORK`, the range of the app in it: /26 or larger, and for the app alone. Cost: none.')
param appSubnetPrefix string = '10.90.0.0/24'

@description('With `PRIVATE_NETWORK`, the range of the endpoints in it: /26 or larger. Cost: none.')
param endpointSubnetPrefix string = '10.90.1.0/24'

@description('Survives the loss of an availability zone, in regions that have zones; set `ALWAYS_READY_HTTP` to 2 or more with it. Cost: about a quarter more for storage, and for Cosmos DB with `serverless`.')
param zoneRedundant bool = false

@description('How Cosmos DB is billed; an account cannot be changed from one to the other. Cost: `serverless` per request, nothing when idle; `autoscale` per hour, at least a tenth of its maximum for each container.')
@allowed([
  'serverless'
  'autoscale'
])
param cosmosCapacity string = 'serverless'

@description('With `autoscale`, the request units per second that each container may scale up to. Cost: proportional.')
@minValue(1000)
param cosmosMaxThroughput int = 4000

@description('Consistency of reads. `Strong`: a reply stored by one instance is seen by the next. `BoundedStaleness`: at most 5 s or 100 writes behind. `Session`: consistent within an instance. Cost: reads take twice the request units, except with `Session`.')
@allowed([
  'Strong'
  'BoundedStaleness'
  'Session'
])
param cosmosConsistency string = 'Strong'

@description('The cache of running sessions. `managed`: a new Azure Managed Redis. `existing`: any Redis with Entra ID and TLS. `none`: sessions are read from Cosmos DB, which takes longer. Cost: only `managed` costs, see `REDIS_SKU`.')
@allowed([
  'managed'
  'existing'
  'none'
])
param redisMode string = 'managed'

@description('With `managed`, the size of Redis. Cost: about $23 a month for `Balanced_B0`, $46 for `Balanced_B1`, with high availability.')
param redisSku string = 'Balanced_B0'

@description('With `managed`, a second node that takes over when the first fails. It cannot be switched off later. Cost: doubles the price of Redis.')
param redisHighAvailability bool = true

@description('With `existing`, the host name of Redis. Cost: none.')
param redisHost string = ''

@description('With `existing`, its TLS port. Cost: none.')
param redisPort int = 6380

@description('The models. `managed`: a new account with both models. `existing`: an account of yours, whose deployments have the names below. Cost: tokens, in either case.')
@allowed([
  'managed'
  'existing'
])
param openAiMode string = 'managed'

@description('With `existing`, the endpoint of the account. Cost: none.')
param openAiEndpoint string = ''

@description('With `managed`, the region of the models; empty: `AZURE_LOCATION`. Cost: a little traffic between regions.')
param openAiLocation string = ''

@description('With `managed`, the SKU of both deployments: where tokens may be processed. Cost: `DataZoneStandard` and `Standard` cost more per token than `GlobalStandard`.')
param modelSku string = 'GlobalStandard'

@description('The model that answers; with `existing`, the name of its deployment. Cost: per token; about nine tenths of the total.')
param chatModel string = 'gpt-5.4-mini'

@description('With `managed`, the version of the chat model. Cost: none.')
param chatModelVersion string = '2026-03-17'

@description('With `managed`, the rate limit of the chat model, in thousands of tokens per minute. Cost: none, but it takes quota.')
param chatCapacity int = 50

@description('The model that turns text into vectors; with `existing`, the name of its deployment. Vectors of two models cannot be compared, so changing it loses what was recalled by meaning. Cost: per token, about a thousandth of the chat model.')
param embeddingModel string = 'text-embedding-3-small'

@description('With `managed`, the version of the embedding model. Cost: none.')
param embeddingModelVersion string = '1'

@description('With `managed`, the rate limit of the embedding model, in thousands of tokens per minute. Cost: none, but it takes quota.')
param embeddingCapacity int = 50

@description('Adds AI Search, for knowledge that all users share. Cost: see `SEARCH_SKU`.')
param searchEnabled bool = false

@description('The size of AI Search. Cost: about $74 a month for each replica of `basic`.')
param searchSku string = 'basic'

@description('Replicas of AI Search; two or more have a service level for queries. Cost: proportional.')
param searchReplicas int = 1

@description('Adds an Azure Bot with the Teams channel, which calls `/api/messages`. Cost: see `BOT_SKU`.')
param botEnabled bool = false

@description('The pricing tier of the bot. Cost: `F0` is free; `S1` has a price per message on premium channels, which Teams is not.')
@allowed([
  'F0'
  'S1'
])
param botSku string = 'F0'

@description('The Python version of the app. Cost: none.')
@allowed([
  '3.11'
  '3.12'
  '3.13'
])
param pythonVersion string = '3.13'

@description('Memory of an instance, in megabytes. Cost: proportional, while an instance works.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('How many instances the app may scale out to. Cost: bounds what a peak can cost.')
param maximumInstanceCount int = 100

@description('Requests that one instance handles at once; the default for Python is one. Cost: more requests share the price of an instance.')
param httpConcurrency int = 16

@description('HTTP instances that are always running, so that nobody waits for a cold start. Cost: about $21 a month for each with 2048 MB.')
param alwaysReadyHttp int = 0

@description('Address that alerts and the budget notify; empty: alerts are only shown in the portal. Cost: none.')
param alertEmail string = ''

@description('An alert fires when a session has been due for this many seconds. The default is three runs of the timer; with a less frequent `SUMMARISE_SCHEDULE`, set it to more than the interval. Cost: none.')
@minValue(60)
param oldestDueSeconds int = 900

@description('Amount per month, in the currency of the subscription, of a budget that notifies its owners; 0: no budget. An existing budget keeps its amount: change it in the portal. Cost: none; a budget stops nothing.')
param monthlyBudget int = 200

@description('Days that logs are kept. Cost: the first 31 are free, then about $0.10 a GB and month.')
param logRetentionDays int = 30

@description('Gigabytes per day after which the workspace stops taking logs, see below. Cost: bounds what logs can cost, at $2.30 a GB after 5 free GB a month.')
param logDailyQuotaGb int = 1

var prefixes = loadJsonContent('./abbreviations.json')
var token = toLower(uniqueString(subscription().id, environmentName, location))
var nameOf = {
  resourceGroup: names.?resourceGroup ?? '${prefixes.resourceGroup}${environmentName}'
  identity: names.?identity ?? '${prefixes.identity}${token}'
  logAnalytics: names.?logAnalytics ?? '${prefixes.logAnalytics}${token}'
  appInsights: names.?appInsights ?? '${prefixes.appInsights}${token}'
  virtualNetwork: names.?virtualNetwork ?? '${prefixes.virtualNetwork}${token}'
  securityGroup: names.?securityGroup ?? '${prefixes.securityGroup}${token}'
  storage: names.?storage ?? '${prefixes.storage}${token}'
  cosmos: names.?cosmos ?? '${prefixes.cosmos}${token}'
  redis: names.?redis ?? '${prefixes.redis}${token}'
  openAi: names.?openAi ?? '${prefixes.openAi}${token}'
  search: names.?search ?? '${prefixes.search}${token}'
  keyVault: names.?keyVault ?? '${prefixes.keyVault}${token}'
  receiptKey: names.?receiptKey ?? 'erasure-receipts'
  digestSecret: names.?digestSecret ?? 'log-digest-key'
  plan: names.?plan ?? '${prefixes.plan}${token}'
  functionApp: names.?functionApp ?? '${prefixes.functionApp}${token}'
  bot: names.?bot ?? '${prefixes.bot}${token}'
  alerts: names.?alerts ?? 'keepsake-${environmentName}'
  budget: names.?budget ?? 'keepsake-${token}-monthly'
}
var tags tagSet = {
  'azd-env-name': environmentName
}
var developerId = developerAccess && principalType == 'User' ? principalId : ''
var hasManagedRedis = redisMode == 'managed'
var hasManagedOpenAi = openAiMode == 'managed'
var openAiName = hasManagedOpenAi ? nameOf.openAi : null
var redisName = hasManagedRedis ? nameOf.redis : null
var searchName = searchEnabled ? nameOf.search : null

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: nameOf.resourceGroup
  location: location
  tags: tags
}

module identity './modules/identity.bicep' = {
  scope: group
  params: {
    name: nameOf.identity
    location: location
    tags: tags
  }
}

module monitoring './modules/monitoring.bicep' = {
  scope: group
  params: {
    workspaceName: nameOf.logAnalytics
    appInsightsName: nameOf.appInsights
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
  }
}

module network './modules/network.bicep' = if (privateNetwork) {
  scope: group
  params: {
    name: nameOf.virtualNetwork
    securityGroupName: nameOf.securityGroup
    location: location
    tags: tags
    addressPrefix: networkPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
  }
}

module storage './modules/storage.bicep' = {
  scope: group
  params: {
    name: nameOf.storage
    location: location
    tags: tags
    privateNetwork: privateNetwork
    zoneRedundant: zoneRedundant
    workspaceId: monitoring.outputs.workspaceId
  }
}

module cosmos './modules/cosmos.bicep' = {
  scope: group
  params: {
    name: nameOf.cosmos
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
  scope: group
  params: {
    name: nameOf.redis
    location: location
    tags: tags
    privateNetwork: privateNetwork
    skuName: redisSku
    highAvailability: redisHighAvailability
    workspaceId: monitoring.outputs.workspaceId
  }
}

module openAi './modules/openai.bicep' = if (hasManagedOpenAi) {
  scope: group
  params: {
    name: nameOf.openAi
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
  scope: group
  params: {
    name: nameOf.search
    location: location
    tags: tags
    privateNetwork: privateNetwork
    skuName: searchSku
    replicaCount: searchReplicas
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault './modules/vault.bicep' = {
  scope: group
  params: {
    name: nameOf.keyVault
    receiptKeyName: nameOf.receiptKey
    digestSecretName: nameOf.digestSecret
    location: location
    tags: tags
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

// Waits for nothing slow: these rights propagate while Redis is still being created.
module access './modules/access.bicep' = {
  scope: group
  params: {
    identityName: nameOf.identity
    appId: identity.outputs.principalId
    developerId: developerId
    appInsightsName: nameOf.appInsights
    storageName: nameOf.storage
    cosmosName: nameOf.cosmos
    vaultName: nameOf.keyVault
    receiptKeyName: nameOf.receiptKey
    digestSecretName: nameOf.digestSecret
  }
  dependsOn: [
    monitoring
    storage
    cosmos
    vault
  ]
}

module accessOptional './modules/access-optional.bicep' = {
  scope: group
  params: {
    identityName: nameOf.identity
    appId: identity.outputs.principalId
    developerId: developerId
    openAiName: openAiName
    redisName: redisName
    searchName: searchName
  }
  dependsOn: [
    openAi
    redis
    search
  ]
}

module privateEndpoints './modules/private-endpoints.bicep' = if (privateNetwork) {
  scope: group
  params: {
    location: location
    tags: tags
    networkName: nameOf.virtualNetwork
    storageName: nameOf.storage
    cosmosName: nameOf.cosmos
    vaultName: nameOf.keyVault
    openAiName: openAiName
    redisName: redisName
    searchName: searchName
  }
  dependsOn: [
    network
    storage
    cosmos
    vault
    openAi
    redis
    search
  ]
}

var entraSettings settingSet = authMode == 'entra'
  ? {
      ENTRA_TENANT_IDS: empty(entraTenantIds) ? tenant().tenantId : entraTenantIds
      ENTRA_AUDIENCE: entraAudience
      ENTRA_ACTING_CLIENT_IDS: entraActingClientIds
    }
  : {}
var redisSettings = redisMode == 'none'
  ? {}
  : {
      REDIS_TLS: 'true'
      REDIS_HOST: hasManagedRedis ? redis!.outputs.hostName : redisHost
      REDIS_PORT: hasManagedRedis ? string(redis!.outputs.port) : string(redisPort)
    }

// Rights come first: without them, the first start finds neither package nor secret nor data.
module app './modules/app.bicep' = {
  scope: group
  params: {
    name: nameOf.functionApp
    planName: nameOf.plan
    location: location
    tags: {
      ...tags
      'azd-service-name': 'api'
    }
    pythonVersion: pythonVersion
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    blobEndpoint: storage.outputs.blobEndpoint
    queueEndpoint: storage.outputs.queueEndpoint
    tableEndpoint: storage.outputs.tableEndpoint
    packageContainerName: storage.outputs.packageContainerName
    appInsightsConnectionString: monitoring.outputs.connectionString
    subnetId: privateNetwork ? network!.outputs.appSubnetId : null
    zoneRedundant: zoneRedundant
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: maximumInstanceCount
    httpConcurrency: httpConcurrency
    alwaysReadyHttp: alwaysReadyHttp
    appSettings: {
      ...settings
      ...redisSettings
      ...entraSettings
      AUTH_MODE: authMode
      COSMOS_ENDPOINT: cosmos.outputs.endpoint
      COSMOS_DATABASE: cosmos.outputs.databaseName
      QUEUE_ENDPOINT: storage.outputs.queueEndpoint
      AZURE_OPENAI_ENDPOINT: hasManagedOpenAi ? openAi!.outputs.endpoint : openAiEndpoint
      CHAT_MODEL: hasManagedOpenAi ? openAi!.outputs.chatDeployment : chatModel
      EMBEDDING_MODEL: hasManagedOpenAi ? openAi!.outputs.embeddingDeployment : embeddingModel
      LOG_DIGEST_KEY: vault.outputs.digestReference
    }
  }
  dependsOn: [
    access
    accessOptional
    privateEndpoints
  ]
}

module bot './modules/bot.bicep' = if (botEnabled) {
  scope: group
  params: {
    name: nameOf.bot
    tags: tags
    skuName: botSku
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    endpoint: 'https://${app.outputs.hostName}/api/messages'
  }
}

module alerts './modules/alerts.bicep' = {
  scope: group
  params: {
    namePrefix: nameOf.alerts
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    redisName: redisName
    oldestDueSeconds: oldestDueSeconds
    email: alertEmail
  }
  dependsOn: [
    redis
  ]
}

module budget './modules/budget.bicep' = if (monthlyBudget > 0) {
  scope: group
  params: {
    name: nameOf.budget
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
output EMBEDDING_MODEL string = hasManagedOpenAi
  ? openAi!.outputs.embeddingDeployment
  : embeddingModel
output AZURE_SEARCH_ENDPOINT string = searchEnabled ? search!.outputs.endpoint : ''
output RECEIPT_KEY_URL string = vault.outputs.receiptKeyUrl
output BOT_NAME string = botEnabled ? bot!.outputs.name : ''
