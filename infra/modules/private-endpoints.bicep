param location string
param tags object
param networkId string
param subnetId string
param storageId string
param cosmosId string
param vaultId string

@description('Empty: there is none, or it is not ours.')
param openAiId string
param redisId string
param searchId string

var always = [
  {
    name: 'blob'
    targetId: storageId
    groupId: 'blob'
    zones: ['privatelink.blob.${environment().suffixes.storage}']
  }
  {
    name: 'queue'
    targetId: storageId
    groupId: 'queue'
    zones: ['privatelink.queue.${environment().suffixes.storage}']
  }
  {
    name: 'table'
    targetId: storageId
    groupId: 'table'
    zones: ['privatelink.table.${environment().suffixes.storage}']
  }
  {
    name: 'cosmos'
    targetId: cosmosId
    groupId: 'Sql'
    zones: ['privatelink.documents.azure.com']
  }
  {
    name: 'vault'
    targetId: vaultId
    groupId: 'vault'
    zones: ['privatelink.vaultcore.azure.net']
  }
]
var openAi = [
  {
    name: 'openai'
    targetId: openAiId
    groupId: 'account'
    zones: [
      'privatelink.cognitiveservices.azure.com'
      'privatelink.openai.azure.com'
      'privatelink.services.ai.azure.com'
    ]
  }
]
var redis = [
  {
    name: 'redis'
    targetId: redisId
    groupId: 'redisEnterprise'
    zones: ['privatelink.redis.azure.net']
  }
]
var search = [
  {
    name: 'search'
    targetId: searchId
    groupId: 'searchService'
    zones: ['privatelink.search.windows.net']
  }
]
var withOpenAi = empty(openAiId) ? always : concat(always, openAi)
var withRedis = empty(redisId) ? withOpenAi : concat(withOpenAi, redis)
var targets = empty(searchId) ? withRedis : concat(withRedis, search)

// Named by what it leads to, since an endpoint that exists cannot be led elsewhere.
module endpoints './private-endpoint.bicep' = [for target in targets: {
  name: 'endpoint-${target.name}'
  params: {
    name: 'pe-${last(split(target.targetId, '/'))}-${target.groupId}'
    location: location
    tags: tags
    networkId: networkId
    subnetId: subnetId
    targetId: target.targetId
    groupId: target.groupId
    zones: target.zones
  }
}]
