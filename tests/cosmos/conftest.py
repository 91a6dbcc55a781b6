"""A local Cosmos DB and a client of the real SDK for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from local.cosmos import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos

DECLARATION = Path(__file__).parents[2] / "infra" / "containers.json"


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, as the SDK does."""
    return "asyncio"


@pytest.fixture
def cosmos() -> Iterator[LocalCosmos]:
    """Open a database in memory with the product's containers."""
    database = LocalCosmos.open(None, DECLARATION)
    yield database
    database.close()


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
