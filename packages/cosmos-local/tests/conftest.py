"""A client of the real SDK for each test, on its local Cosmos DB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos

DECLARATION = Path(__file__).parent / "containers.json"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, as the SDK does."""
    return "asyncio"


@pytest.fixture
def cosmos() -> Iterator[LocalCosmos]:
    """Open an empty account in memory, with the containers of containers.json."""
    opened = LocalCosmos.open(None, DECLARATION)
    yield opened
    opened.close()


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
