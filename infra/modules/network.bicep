metadata description = 'A network with two subnets (PRIVATE_NETWORK).'

import { tagSet } from '../types.bicep'

param name string
param securityGroupName string
param location string
param tags tagSet
param addressPrefix string
param appSubnetPrefix string
param endpointSubnetPrefix string

resource securityGroup 'Microsoft.Network/networkSecurityGroups@2026-03-01' = {
  name: securityGroupName
  location: location
  tags: tags
}

resource network 'Microsoft.Network/virtualNetworks@2026-03-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        addressPrefix
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: appSubnetPrefix
          // To Entra ID for signing keys and to Azure Monitor; your own NAT gateway also works.
          defaultOutboundAccess: true
          networkSecurityGroup: {
            id: securityGroup.id
          }
          delegations: [
            {
              name: 'flex-consumption'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: endpointSubnetPrefix
          defaultOutboundAccess: false
          networkSecurityGroup: {
            id: securityGroup.id
          }
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }
}

output appSubnetId string = '${network.id}/subnets/app'
