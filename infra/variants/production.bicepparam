// For 100,000 users a day, deployed by a pipeline: autoscale, zones, instances that are always
// ready. The longest name there is.
using '../main.bicep'

param environmentName = 'production-of-the-longest-name-that-azd-may-take'
param location = 'westeurope'
param principalId = 'a6d3e9b4-8c21-4f7d-95e0-1b2c4d6f8a77'
param principalType = 'ServicePrincipal'
param entraAudience = 'api://keepsake'
param alertEmail = 'operators@example.com'
param zoneRedundant = true
param cosmosCapacity = 'autoscale'
param cosmosMaxThroughput = 10000
param cosmosConsistency = 'BoundedStaleness'
param redisSku = 'Balanced_B1'
param openAiLocation = 'swedencentral'
param chatCapacity = 4000
param embeddingCapacity = 1000
param alwaysReadyHttp = 2
param monthlyBudget = 100000
