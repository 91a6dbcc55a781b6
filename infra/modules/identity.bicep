metadata description = 'The identity that the app runs as.'

import { tagSet } from '../types.bicep'

@description('Name of the identity that the app runs as.')
param name string
param location string
param tags tagSet

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: name
  location: location
  tags: tags
}

output id string = identity.id
output principalId string = identity.properties.principalId
output clientId string = identity.properties.clientId
