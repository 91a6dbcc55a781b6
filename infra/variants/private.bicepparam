// Every data service behind a private endpoint, with AI Search and the bot.
using '../main.bicep'

param environmentName = 'private'
param location = 'westeurope'
param principalId = '3f0c6d1a-5f0e-4b7c-9a51-6a0d3c8e2b10'
param entraAudience = 'api://keepsake'
param entraTenantIds = '7d1b0c52-0f3c-4c56-8b9e-2f6a1d4e8c33,0c9a4e7e-52d8-4a0e-9b7f-b1c5d2e6f744'
param entraActingClientIds = '5b8e1f60-3d2a-4c9b-8f17-a4c6e0d9b255'
param alertEmail = 'operators@example.com'
param privateNetwork = true
param searchEnabled = true
param searchReplicas = 2
param botEnabled = true
