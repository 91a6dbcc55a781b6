// A file of its own, since not every tool can read @onlyIfNotExists yet.

param vaultName string

@description('Made by the first deployment; see below for the others.')
@secure()
param digestKey string = '${newGuid()}${newGuid()}'

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

// A new value would cut today's log lines off from yesterday's, so a later deployment leaves it alone.
@onlyIfNotExists()
resource secret 'Microsoft.KeyVault/vaults/secrets@2025-05-01' = {
  parent: vault
  name: 'log-digest-key'
  properties: {
    contentType: 'key of the digests that stand for ids in logs'
    value: digestKey
  }
}

output name string = secret.name
