metadata description = 'An Azure Bot with the Teams channel (BOT_ENABLED).'

import { tagSet } from '../types.bicep'

param name string
param tags tagSet

@description('F0 is free and has no service level; S1 costs per message and has one.')
@allowed([
  'F0'
  'S1'
])
param skuName string
param identityId string
param identityClientId string
param endpoint string

resource bot 'Microsoft.BotService/botServices@2022-09-15' = {
  name: name
  location: 'global'
  tags: tags
  kind: 'azurebot'
  sku: {
    name: skuName
  }
  properties: {
    displayName: name
    endpoint: endpoint
    disableLocalAuth: true
    msaAppId: identityClientId
    msaAppMSIResourceId: identityId
    #disable-next-line use-resource-id-functions // a tenant id, not a resource id
    msaAppTenantId: tenant().tenantId
    msaAppType: 'UserAssignedMSI'
    schemaTransformationVersion: '1.3'
  }
}

resource teams 'Microsoft.BotService/botServices/channels@2022-09-15' = {
  parent: bot
  name: 'MsTeamsChannel'
  location: 'global'
  properties: {
    channelName: 'MsTeamsChannel'
    properties: {
      isEnabled: true
    }
  }
}

output name string = bot.name
