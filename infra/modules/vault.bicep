metadata description = 'Key Vault: the key of receipts, the secret of log digests.'

import { tagSet } from '../types.bicep'

param name string

@description('Name of the key that signs erasure receipts.')
param receiptKeyName string

@description('Name of the secret that keys the digests in logs.')
param digestSecretName string
param location string
param tags tagSet
param privateNetwork bool
param workspaceId string

@description('Used by the first deployment only.')
@secure()
param digestKey string = '${newGuid()}${newGuid()}'

resource vault 'Microsoft.KeyVault/vaults@2026-05-15' = {
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

// Signs erasure receipts. The private key never leaves the vault.
resource receiptKey 'Microsoft.KeyVault/vaults/keys@2026-05-15' = {
  parent: vault
  name: receiptKeyName
  properties: {
    kty: 'EC'
    curveName: 'P-256'
    keyOps: [
      'sign'
      'verify'
    ]
  }
}

// A new value would make today's digests differ from yesterday's, so later deployments leave the
// secret alone (ADR 12).
@onlyIfNotExists()
resource digestSecret 'Microsoft.KeyVault/vaults/secrets@2026-05-15' = {
  parent: vault
  name: digestSecretName
  properties: {
    contentType: 'key of the digests that stand for ids in logs'
    value: digestKey
  }
}

#disable-next-line use-recent-api-versions // the stable one has no metrics by category
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

output receiptKeyUrl string = '${vault.properties.vaultUri}keys/${receiptKey.name}'
output digestReference string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${digestSecret.name})'
