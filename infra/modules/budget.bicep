metadata description = 'A monthly budget (MONTHLY_BUDGET).'

param name string

@description('In the currency of the subscription.')
@minValue(1)
param amount int

@description('Who is notified besides the owners; empty: nobody else.')
param email string

@description('A budget starts in the month in which it is created, and keeps that start.')
param start string = utcNow('yyyy-MM-01')

var emails = empty(email)
  ? []
  : [
      email
    ]

// Azure rejects a different start month for an existing budget, so later deployments leave it alone
// (ADR 12).
@onlyIfNotExists()
resource budget 'Microsoft.Consumption/budgets@2026-06-01' = {
  name: name
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: start
    }
    notifications: {
      spent: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: emails
        contactRoles: [
          'Owner'
        ]
      }
      expected: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: emails
        contactRoles: [
          'Owner'
        ]
      }
    }
  }
}
