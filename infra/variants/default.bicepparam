// What `azd up` deploys when nothing is chosen but what it asks for, by a person who gets alerts.
using '../main.bicep'

param environmentName = 'memory'
param location = 'westeurope'
param principalId = '3f0c6d1a-5f0e-4b7c-9a51-6a0d3c8e2b10'
param entraAudience = 'api://keepsake'
param alertEmail = 'operators@example.com'
