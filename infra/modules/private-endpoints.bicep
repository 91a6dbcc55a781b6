metadata description = 'Private endpoints of all data services (PRIVATE_NETWORK).'

import { endpointTarget, tagSet } from '../types.bicep'

param location string
param tags tagSet
param networkName string
param storageName string
param cosmosName string
param vaultName string

@description('Null: none, or one that is not part of this deployment.')
param openAiName string?
param redisName string?
param searchName string?

var storageId = resourceId('Microsoft.Storage/storageAccounts', storageName)
var storageTargets = map(['blob', 'queue', 'table'], service => {
  resource: storageName
  id: storageId
  groupId: service
  #disable-next-line no-hardcoded-env-urls // previews cannot evaluate environment()
  zones: ['privatelink.${service}.core.windows.net']
})
var cosmosTarget = {
  resource: cosmosName
  id: resourceId('Microsoft.DocumentDB/databaseAccounts', cosmosName)
  groupId: 'Sql'
  zones: ['privatelink.documents.azure.com']
}
var vaultTarget = {
  resource: vaultName
  id: resourceId('Microsoft.KeyVault/vaults', vaultName)
  groupId: 'vault'
  zones: ['privatelink.vaultcore.azure.net']
}
var openAiTargets = map(openAiName == null ? [] : [openAiName!], name => {
  resource: name
  id: resourceId('Microsoft.CognitiveServices/accounts', name)
  groupId: 'account'
  zones: [
    'privatelink.cognitiveservices.azure.com'
    'privatelink.openai.azure.com'
    'privatelink.services.ai.azure.com'
  ]
})
var redisTargets = map(redisName == null ? [] : [redisName!], name => {
  resource: name
  id: resourceId('Microsoft.Cache/redisEnterprise', name)
  groupId: 'redisEnterprise'
  zones: ['privatelink.redis.azure.net']
})
var searchTargets = map(searchName == null ? [] : [searchName!], name => {
  resource: name
  id: resourceId('Microsoft.Search/searchServices', name)
  groupId: 'searchService'
  zones: ['privatelink.search.windows.net']
})
var targets endpointTarget[] = [
  ...storageTargets
  cosmosTarget
  vaultTarget
  ...openAiTargets
  ...redisTargets
  ...searchTargets
]

resource network 'Microsoft.Network/virtualNetworks@2026-03-01' existing = {
  name: networkName

  resource subnet 'subnets' existing = {
    name: 'endpoints'
  }
}

// Named after its target, because an existing endpoint cannot be pointed at another one.
module endpoints './private-endpoint.bicep' = [
  for target in targets: {
    params: {
      name: 'pe-${target.resource}-${target.groupId}'
      location: location
      tags: tags
      networkId: network.id
      subnetId: network::subnet.id
      target: target
    }
  }
]
