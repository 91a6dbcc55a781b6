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

// The host has a row for every request, the app one for each that it traces and a line for each that reached it: all
// three of one request have its operation's id.
var queries = [
  {
    name: 'server-errors'
    description: 'More than ten requests in a quarter of an hour were answered with 5xx.'
    severity: 2
    window: 'PT15M'
    threshold: 10
    query: 'union (AppRequests | where toint(ResultCode) >= 500), (AppTraces | where Message startswith "request " | where toint(extract(" status=([0-9]+)", 1, Message)) >= 500) | distinct OperationId'
  }
  {
    name: 'poison-messages'
    description: 'A message was delivered five times in vain: it waits on the poison queue for somebody to look.'
    severity: 2
    window: 'PT15M'
    threshold: 0
    query: 'StorageQueueLogs | where OperationName == "PutMessage" and Uri contains "-poison"'
  }
  {
    name: 'parked-sessions'
    description: 'Sessions could not be summarised five times over: python -m operate.parked tells which and why.'
    severity: 3
    window: 'PT15M'
    threshold: 0
    query: 'AppTraces | where Message startswith "session_parked "'
  }
  {
    name: 'queue-backlog'
    description: 'More than 5,000 sessions wait on the queue: consolidation does not keep up, and the timer adds no more.'
    severity: 3
    window: 'PT15M'
    threshold: 0
    query: 'AppTraces | where Message startswith "due_sessions " | where toint(extract("waiting=([0-9]+)", 1, Message)) > 5000'
  }
  {
    name: 'oldest-due-session'
    description: 'A session has been due for longer than OLDEST_DUE_SECONDS: consolidation is late.'
    severity: 3
    window: 'PT15M'
    threshold: 0
    query: 'AppTraces | where Message startswith "due_sessions " | where todouble(extract("oldest_seconds=([0-9.]+)", 1, Message)) > ${oldestDueSeconds}'
  }
  {
    name: 'daily-cap'
    description: 'LOG_DAILY_QUOTA_GB is used up: nothing is logged until its next day begins, and no other query here finds anything.'
    severity: 2
    window: 'PT15M'
    threshold: 0
    query: '_LogOperation | where Category =~ "Ingestion" | where Detail contains "OverQuota"' // written past the cap, too
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
    description: 'Redis is four fifths full: running sessions will soon be evicted, and read from Cosmos DB instead.'
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
