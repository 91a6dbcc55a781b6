"""The one Cosmos DB client of a worker, and the containers it opens."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.cosmos.aio import ContainerProxy, CosmosClient

from shared.adapters.cosmos.errors import ItemMissing, translate_cosmos_errors
from shared.adapters.cosmos.transport import CountingTransport
from shared.domain.errors import StoreUnavailable
from shared.domain.ids import UserId

MEMORY = "memory"
PREFERENCES = "preferences"
NOBODY = "?"  # no user id contains this character: a partition that is always empty
Batch = Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]]  # operation, arguments, conditions


@dataclass(frozen=True, slots=True)
class CosmosAccount:
    """An account, and a key or an identity to open it with; `transport` None: the SDK's own.

    `seconds` bounds one call with all its retries.
    """

    endpoint: str
    database: str
    credential: str | AsyncTokenCredential
    seconds: float
    transport: AsyncHttpTransport[Any, Any] | None = None


class CosmosContainers:
    """Opens containers of one client; also the readiness dependency `cosmos`."""

    name = "cosmos"

    def __init__(self, account: CosmosAccount) -> None:
        """Make the client; it connects with its first call."""
        # aiohttp would look up proxies and netrc for every call, with two thread hops each
        transport = account.transport or AioHttpTransport(use_env_settings=False)
        self._client = CosmosClient(
            account.endpoint,
            account.credential,
            transport=CountingTransport(transport, urlsplit(account.endpoint).hostname or ""),
            connection_timeout=1,
            read_timeout=2,
            retry_total=3,
            retry_read=0,  # a write whose answer was lost is never repeated blindly (F12)
            retry_connect=1,
            retry_status=0,
            retry_throttle_total=3,
            retry_throttle_backoff_max=1,
            enable_compact_utf8_item_writes=True,
        )
        self._database = self._client.get_database_client(account.database)
        self._seconds = account.seconds
        self._entering = asyncio.Lock()
        self._entered = False

    @asynccontextmanager
    async def call(self, container: str) -> AsyncIterator[ContainerProxy]:
        """One call on a container, bounded in time, with the SDK's errors translated.

        Raises:
            StoreUnavailable, Busy, or an item's own outcome: as the table in errors.py says.
        """
        try:
            async with asyncio.timeout(self._seconds):
                with translate_cosmos_errors():
                    await self._enter()
                    yield self._database.get_container_client(container)
        except TimeoutError as late:
            raise StoreUnavailable(
                "Cosmos DB did not answer in time; send the same request again"
            ) from late

    async def write_batch(self, container: str, user: UserId, batch: Batch) -> None:
        """Write all of a transactional batch or nothing.

        Raises:
            The outcome of the operation that failed, as `call`.
        """
        async with self.call(container) as proxy:
            await proxy.execute_item_batch(batch, user.value)

    async def _enter(self) -> None:
        """Let the client learn the account's consistency, once; else it sends no session tokens."""
        async with self._entering:
            if not self._entered:
                await self._client.__aenter__()
                self._entered = True

    async def ping(self) -> None:
        """Read an item that cannot exist: the whole path, and nobody's data."""
        try:
            async with self.call(MEMORY) as container:
                await container.read_item("ping", NOBODY)
        except ItemMissing:
            return

    async def close(self) -> None:
        """Close the client. Idempotent."""
        await self._client.close()
