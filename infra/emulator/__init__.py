"""Makes the containers of infra/containers.json in Microsoft's Cosmos DB emulator.

In Azure Bicep does this and the app may not. The emulator knows neither index, vector nor full-text policies, so only
keys and times to live are made; `make run` has a Cosmos DB that knows them all.
"""
