"""The store behind the application's back, through the SDK."""

from azure.cosmos.aio import CosmosClient

from local.cosmos import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos


async def bump_epoch(cosmos: LocalCosmos, user: str) -> None:
    """What an erase does first: move the user's epoch."""
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.transport())
    try:
        container = client.get_database_client("agent-memory").get_container_client("memory")
        await container.patch_item("user", user, [{"op": "incr", "path": "/epoch", "value": 1}])
    finally:
        await client.close()
