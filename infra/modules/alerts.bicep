metadata description = 'Alert rules, and who is notified.'

import { tagSet } from '../types.bicep'

param namePrefix string
param location string
param tags tagSet
param workspaceId string

@description('The Redis whose memory is watched; null: none.')
param redisName string?

@description('How long a session may have been due, in seconds; longer than the interval of the timer.')
@minValue(60)
param oldestDueSeconds int

@description('Address that is notified; empty: alerts are only shown in the portal.')
param email string

// A query on a table that does not exist fails, a rule that fails for a week is switched off, and a
// table exists from its first row on. Each query therefore starts with an empty table of the
// columns it reads (tests/infra/test_queries.py).
var appLines = 'datatable(Message: string)[] | union isfuzzy=true AppTraces'
// The host has a row for every request, and the app one for each that it traces and a line for each
// that reached it: all three have the same operation id.
var failedRequests = '(AppRequests | where toint(ResultCode) >= 500)'
var failedLines = '(AppTraces | where Message startswith_cs "request " | where toint(extract(" status=([0-9]+)", 1, Message)) >= 500)'
var queries = [
  {
    name: 'server-errors'
    description: 'More than ten requests within 15 minutes were answered with 5xx.'
    severity: 2
    window: 'PT15M'
    threshold: 10
    query: 'datatable(OperationId: string)[] | union isfuzzy=true ${failedRequests}, ${failedLines} | distinct OperationId'
  }
  {
    name: 'poison-messages'
    description: 'A message failed five times and is on the poison queue, where somebody must look at it.'
    severity: 2
    // Storage logs arrive up to ten minutes late. A fired rule does not fire again: overlap is safe.
    window: 'PT30M'
    threshold: 0
    query: 'datatable(OperationName: string, Uri: string)[] | union isfuzzy=true StorageQueueLogs | where OperationName == "PutMessage" and Uri contains "-poison/messages"'
  }
  {
    name: 'dead-lettered-sessions'
    description: 'Summarising a session failed five times: python -m operate.dead_letters lists which, and why.'
    severity: 3
    window: 'PT15M'
    threshold: 0
    query: '${appLines} | where Message startswith_cs "session_dead_lettered "'
  }
  {
    name: 'queue-backlog'
    description: 'More than 5,000 sessions wait on the queue: consolidation does not keep up, and the timer adds no more.'
    severity: 3
    window: 'PT15M'
    threshold: 0
    query: '${appLines} | where Message startswith_cs "due_sessions " | where toint(extract(" waiting=([0-9]+)", 1, Message)) > 5000'
  }
  {
    name: 'oldest-due-session'
    description: 'A session has been due for longer than OLDEST_DUE_SECONDS: consolidation is late.'
    severity: 3
    window: 'PT15M'
    threshold: 0
    query: '${appLines} | where Message startswith_cs "due_sessions " | where todouble(extract(" oldest_seconds=([0-9.]+)", 1, Message)) > ${oldestDueSeconds}'
  }
  {
    name: 'daily-cap'
    description: 'LOG_DAILY_QUOTA_GB is used up: until its next day starts, nothing is logged and no other log alert fires.'
    severity: 2
    window: 'PT15M'
    threshold: 0
    // Written even beyond the cap, to a table that every workspace has. Microsoft documents this
    // query for it.
    query: '_LogOperation | where Category =~ "Ingestion" | where Detail contains "OverQuota"'
  }
]
var receivers = [
  {
    name: 'operators'
    emailAddress: email
    useCommonAlertSchema: true
  }
]

resource redis 'Microsoft.Cache/redisEnterprise@2026-09-01' existing = if (redisName != null) {
  name: redisName ?? 'none'
}

resource operators 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: '${namePrefix}-operators'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'keepsake'
    emailReceivers: empty(email) ? [] : receivers
  }
}

resource queryAlerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in queries: {
    name: '${namePrefix}-${rule.name}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.name
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [
        workspaceId
      ]
      evaluationFrequency: 'PT15M'
      windowSize: rule.window
      autoMitigate: true
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [operators.id]
      }
    }
  }
]

resource redisMemory 'Microsoft.Insights/metricAlerts@2026-01-01' = if (redisName != null) {
  name: '${namePrefix}-redis-memory'
  location: 'global'
  tags: tags
  properties: {
    description: 'Redis is 80 % full: running sessions will soon be evicted, and then read from Cosmos DB.'
    severity: 3
    enabled: true
    scopes: [
      redis.id
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          name: 'memory'
          criterionType: 'StaticThresholdCriterion'
          metricName: 'usedmemorypercentage'
          metricNamespace: 'Microsoft.Cache/redisEnterprise'
          timeAggregation: 'Maximum'
          operator: 'GreaterThan'
          threshold: 80
        }
      ]
    }
    actions: [
      {
        actionGroupId: operators.id
      }
    ]
  }
}
