param name string
param location string
param tags object
param privateNetwork bool
param workspaceId string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enablePurgeProtection: true
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    publicNetworkAccess: privateNetwork ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: privateNetwork ? 'Deny' : 'Allow'
    }
  }
}

// Signs erasure receipts. The private half never leaves the vault.
resource receiptKey 'Microsoft.KeyVault/vaults/keys@2025-05-01' = {
  parent: vault
  name: 'erasure-receipts'
  properties: {
    kty: 'EC'
    curveName: 'P-256'
    keyOps: [
      'sign'
      'verify'
    ]
  }
}

module digest './digest-secret.bicep' = {
  name: 'digest-secret'
  params: {
    vaultName: vault.name
  }
}

resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-workspace'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

output id string = vault.id
output name string = vault.name
output receiptKeyName string = receiptKey.name
output receiptKeyUrl string = '${vault.properties.vaultUri}keys/${receiptKey.name}'
output digestName string = digest.outputs.name
output digestReference string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${digest.outputs.name})'
