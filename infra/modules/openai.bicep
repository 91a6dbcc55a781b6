metadata description = 'Chat and embedding models (OPENAI_MODE).'

import { tagSet } from '../types.bicep'

param name string
param location string
param tags tagSet
param privateNetwork bool

@description('SKU of both deployments; quota is per model, region and SKU.')
param deploymentSku string
param chatModel string
param chatModelVersion string

@description('Thousands of tokens per minute.')
@minValue(1)
param chatCapacity int
param embeddingModel string
param embeddingModelVersion string

@minValue(1)
param embeddingCapacity int
param workspaceId string

resource account 'Microsoft.CognitiveServices/accounts@2026-09-01' = {
  name: name
  location: location
  tags: tags
  kind: 'AIServices'
  sku: {
    name: 'S0'
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
    }
  }
}

resource chat 'Microsoft.CognitiveServices/accounts/deployments@2026-09-01' = {
  parent: account
  name: chatModel
  sku: {
    name: deploymentSku
    capacity: chatCapacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: chatModel
      version: chatModelVersion
    }
    versionUpgradeOption: 'OnceCurrentVersionExpired'
  }
}

// Never upgraded automatically: vectors of two models cannot be compared. Azure rejects two
// deployments at a time.
resource embedding 'Microsoft.CognitiveServices/accounts/deployments@2026-09-01' = {
  parent: account
  name: embeddingModel
  sku: {
    name: deploymentSku
    capacity: embeddingCapacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: embeddingModel
      version: embeddingModelVersion
    }
    versionUpgradeOption: 'NoAutoUpgrade'
  }
  dependsOn: [
    chat
  ]
}

// Changes of the account; prompts and answers are not logged.
#disable-next-line use-recent-api-versions // the stable one has no metrics by category
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: account
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'Audit'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output endpoint string = 'https://${account.properties.customSubDomainName}.openai.azure.com/'
output chatDeployment string = chat.name
output embeddingDeployment string = embedding.name
