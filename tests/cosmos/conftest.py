"""A client of the real SDK for each test, on its local Cosmos DB."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from local.cosmos import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos


@pytest.fixture
async def client(cosmos: LocalCosmos) -> AsyncIterator[CosmosClient]:
    """Connect the unmodified SDK."""
    connected = CosmosClient(LOCAL_ENDPOINT, credential=LOCAL_KEY, transport=cosmos.transport())
    yield connected
    await connected.close()


@pytest.fixture
def memory(client: CosmosClient) -> ContainerProxy:
    """Return the container with vectors, texts and a composite index."""
    return client.get_database_client("agent-memory").get_container_client("memory")
