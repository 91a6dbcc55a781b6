"""Direct access to the documents in Cosmos DB, without the application."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos


async def bump_epoch(cosmos: LocalCosmos, user: str) -> None:
    """Advance the user's epoch, which is the first step of an erase."""
    async with _opened(cosmos, "memory") as container:
        await container.patch_item("user", user, [{"op": "incr", "path": "/epoch", "value": 1}])


async def replace_item(
    cosmos: LocalCosmos, item: Mapping[str, Any], *, container: str = "memory"
) -> None:
    """Replace an item."""
    async with _opened(cosmos, container) as container_client:
        await container_client.replace_item(item["id"], dict(item))


async def create_items(cosmos: LocalCosmos, user: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Create items in a user's partition."""
    async with _opened(cosmos, "memory") as container:
        for start in range(0, len(items), 100):
            creates: list[Any] = [
                ("create", (dict(item),), {}) for item in items[start : start + 100]
            ]
            await container.execute_item_batch(creates, user)


async def delete_item(cosmos: LocalCosmos, user: str, item_id: str) -> None:
    """Delete an item."""
    async with _opened(cosmos, "memory") as container:
        await container.delete_item(item_id, user)


@asynccontextmanager
async def _opened(cosmos: LocalCosmos, name: str) -> AsyncIterator[ContainerProxy]:
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=cosmos.transport())
    try:
        yield client.get_database_client("agent-memory").get_container_client(name)
    finally:
        await client.close()
