metadata description = 'Azure Managed Redis: running sessions (REDIS_MODE).'

import { tagSet } from '../types.bicep'

param name string
param location string
param tags tagSet
param privateNetwork bool
param skuName string

@description('Can be switched on later, but never off.')
param highAvailability bool
param workspaceId string

resource cluster 'Microsoft.Cache/redisEnterprise@2026-09-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: skuName
  }
  properties: {
    highAvailability: highAvailability ? 'Enabled' : 'Disabled'
    minimumTlsVersion: '1.2'
    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
  }
}

// NoCluster: scripts and transactions may use any keys, any client works, and the policy can be
// changed later (ADR 11).
resource database 'Microsoft.Cache/redisEnterprise/databases@2026-09-01' = {
  parent: cluster
  name: 'default'
  properties: {
    accessKeysAuthentication: 'Disabled'
    clientProtocol: 'Encrypted'
    clusteringPolicy: 'NoCluster'
    evictionPolicy: 'VolatileLRU'
    port: 10000
  }
}

#disable-next-line use-recent-api-versions // the stable one has no metrics by category
resource metrics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: cluster
  properties: {
    workspaceId: workspaceId
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output hostName string = cluster.properties.hostName
output port int = database.properties.port
