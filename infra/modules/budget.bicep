// A file of its own, since not every tool can read @onlyIfNotExists yet.

param name string

@description('In the currency of the subscription.')
@minValue(1)
param amount int

@description('Who is told besides the owners.')
param email string

@description('A budget begins in the month it is made in and keeps that month.')
param start string = utcNow('yyyy-MM-01')

var emails = empty(email) ? [] : [
  email
]

// Azure refuses another start month for a budget that exists, so a later deployment leaves it alone.
@onlyIfNotExists()
resource budget 'Microsoft.Consumption/budgets@2024-08-01' = {
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
