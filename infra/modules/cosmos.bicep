metadata description = 'Cosmos DB: the source of truth.'

import { tagSet } from '../types.bicep'

param name string
param location string
param tags tagSet
param privateNetwork bool
param zoneRedundant bool
param serverless bool

@description('Request units per second that each container may scale up to; ignored with serverless.')
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
var capabilities = serverless ? [...search, { name: 'EnableServerless' }] : search
var level = {
  defaultConsistencyLevel: consistency
}
// This level needs both numbers. In one region, 5 seconds and 10 writes are the smallest that Azure
// accepts.
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

resource account 'Microsoft.DocumentDB/databaseAccounts@2026-03-15' = {
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

resource database 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases@2026-03-15' = {
  parent: account
  name: declared.database
  properties: {
    resource: {
      id: declared.database
    }
  }
}

resource containers 'Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers@2026-03-15' = [
  for container in declared.containers: {
    parent: database
    name: container.id
    properties: {
      resource: container
      options: serverless ? {} : autoscale
    }
  }
]

// Control plane only: data-plane logs would cost more than the data, and contain document ids.
#disable-next-line use-recent-api-versions // the stable one has no metrics by category
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    logAnalyticsDestinationType: 'Dedicated' // not the shared table AzureDiagnostics
    logs: [
      {
        category: 'ControlPlaneRequests'
        enabled: true
      }
    ]
  }
}

output endpoint string = account.properties.documentEndpoint
output databaseName string = database.name
