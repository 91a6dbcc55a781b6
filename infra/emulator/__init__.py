"""Creates the containers of infra/containers.json in Microsoft's Cosmos DB emulator.

In Azure, Bicep creates them, and the app has no right to. The emulator supports neither index,
vector nor full-text policies, so only keys and times to live are set; the Cosmos DB of `make run`
supports all of them.
"""
