// For trying things out: Redis without high availability, AI Search, and a budget that notifies
// only the owners.
using '../main.bicep'

param environmentName = 'dev'
param location = 'westeurope'
param principalId = '3f0c6d1a-5f0e-4b7c-9a51-6a0d3c8e2b10'
param entraAudience = 'api://keepsake'
param redisHighAvailability = false
param searchEnabled = true
