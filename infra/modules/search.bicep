param name string
param location string
param tags object
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

// Metrics only: its operation logs carry the text of queries.
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

output id string = search.id
output name string = search.name
output endpoint string = 'https://${search.name}.search.windows.net'
