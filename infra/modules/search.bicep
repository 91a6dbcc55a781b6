metadata description = 'AI Search: knowledge that all users share (SEARCH_ENABLED).'

import { tagSet } from '../types.bicep'

param name string
param location string
param tags tagSet
param privateNetwork bool
param skuName string

@minValue(1)
param replicaCount int
param workspaceId string

resource search 'Microsoft.Search/searchServices@2025-05-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: skuName
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    disableLocalAuth: true
    hostingMode: 'Default'
    partitionCount: 1
    replicaCount: replicaCount
    semanticSearch: 'free'
    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
    networkRuleSet: {
      bypass: 'AzureServices'
    }
  }
}

// Metrics only: its operation logs contain the text of queries.
#disable-next-line use-recent-api-versions // the stable one has no metrics by category
resource metrics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: search
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

output endpoint string = 'https://${search.name}.search.windows.net'
