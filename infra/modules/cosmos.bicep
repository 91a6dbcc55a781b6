param name string
param location string
param tags object
param privateNetwork bool
param zoneRedundant bool
param serverless bool

@description('Request units per second each container may scale up to; no meaning with serverless.')
@minValue(1000)
param maxThroughput int

@allowed([
  'Strong'
  'BoundedStaleness'
  'Session'
])
param consistency string
param workspaceId string

var declared = loadJsonContent('../containers.json')
var search = [
  {
    name: 'EnableNoSQLVectorSearch'
  }
  {
    name: 'EnableNoSQLFullTextSearch'
  }
]
var capabilities = serverless ? concat(search, [{ name: 'EnableServerless' }]) : search
var level = {
  defaultConsistencyLevel: consistency
}
// Azure asks for both numbers with this level; below 5 seconds or 10 writes it takes neither, in one region.
var boundedStaleness = {
  defaultConsistencyLevel: consistency
  maxIntervalInSeconds: 5
  maxStalenessPrefix: 100
}
var autoscale = {
  autoscaleSettings: {
    maxThroughput: maxThroughput
  }
}

resource account 'Microsoft.DocumentDB/databaseAccounts@2025-10-15' = {
  name: name
  location: location
  tags: tags
  kind: 'GlobalDocumentDB'
  properties: {
    databaseAccountOfferType: 'Standard'
    capabilities: capabilities
    consistencyPolicy: consistency == 'BoundedStaleness' ? boundedStaleness : level
    locations: [
      {
        locationName: location
        failoverPriority: 0
        isZoneRedundant: zoneRedundant
      }
    ]
    disableLocalAuth: true
    disableKeyBasedMetadataWriteAccess: true
    minimalTlsVersion: 'Tls12'
    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
    backupPolicy: {
      type: 'Continuous'
      continuousModeProperties: {
        tier: 'Continuous7Days'
      }
    }
  }
}

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2025-10-15' = {
  parent: account
  name: declared.database
  properties: {
    resource: {
      id: declared.database
    }
  }
}

resource containers 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2025-10-15' = [for container in declared.containers: {
  parent: database
  name: container.id
  properties: {
    resource: container
    options: serverless ? {} : autoscale
  }
}]

// Only the control plane: data-plane logs would cost more than the data and carry document ids.
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'ControlPlaneRequests'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output endpoint string = account.properties.documentEndpoint
output databaseName string = database.name
