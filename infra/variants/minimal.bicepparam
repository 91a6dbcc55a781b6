// The cheapest: no Redis, no email, no budget, no rights for a developer. Its name has capitals and
// hyphens.
using '../main.bicep'

param environmentName = 'My-Smallest-TEST'
param location = 'northeurope'
param principalId = '3f0c6d1a-5f0e-4b7c-9a51-6a0d3c8e2b10'
param developerAccess = false
param entraAudience = '9e4d2c7b-1a6f-4e58-b0c3-7f8a5d1e6c22'
param redisMode = 'none'
param monthlyBudget = 0
param instanceMemoryMB = 512
