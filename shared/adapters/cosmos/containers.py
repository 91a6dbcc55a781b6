"""Access to the Cosmos DB containers through one client per worker."""

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
NOBODY = "?"  # not a valid user id, so this partition is always empty
Batch = Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]]  # operation, arguments, conditions


@dataclass(frozen=True, slots=True)
class CosmosAccount:
    """A Cosmos DB account, and the key or identity to access it with.

    `seconds` bounds one call including its retries. `transport` None means the SDK's own.
    """

    endpoint: str
    database: str
    credential: str | AsyncTokenCredential
    seconds: float
    transport: AsyncHttpTransport[Any, Any] | None = None


class CosmosContainers:
    """Calls containers through one client; also the readiness check `cosmos`."""

    name = "cosmos"

    def __init__(self, account: CosmosAccount) -> None:
        """Create the client; it connects on the first call."""
        # With env settings aiohttp looks up proxies and netrc on every call, in two threads.
        transport = account.transport or AioHttpTransport(use_env_settings=False)
        self._client = CosmosClient(
            account.endpoint,
            account.credential,
            transport=CountingTransport(transport, urlsplit(account.endpoint).hostname or ""),
            connection_timeout=1,
            read_timeout=2,
            retry_total=3,
            retry_read=0,  # a write whose response was lost is never repeated blindly (F12)
            retry_connect=1,
            retry_status=0,
            retry_throttle_total=3,
            retry_throttle_backoff_max=1,
            enable_compact_utf8_item_writes=True,
        )
        self._database = self._client.get_database_client(account.database)
        self._seconds = account.seconds
        self._enter_lock = asyncio.Lock()
        self._entered = False

    @asynccontextmanager
    async def call(self, container: str) -> AsyncIterator[ContainerProxy]:
        """Yield a container for one call, with a timeout and with the SDK's errors translated.

        Raises:
            StoreUnavailable, Busy, Contended, ItemMissing, ItemExists, ItemChanged: see errors.py.
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
        """Execute a transactional batch: all operations apply, or none.

        Raises:
            The errors of `call`, for the operation that failed.
        """
        async with self.call(container) as proxy:
            await proxy.execute_item_batch(batch, user.value)

    async def _enter(self) -> None:
        """Enter the client once: it reads the account's consistency level.

        Without it the client sends no session tokens.
        """
        async with self._enter_lock:
            if not self._entered:
                await self._client.__aenter__()
                self._entered = True

    async def ping(self) -> None:
        """Read an item that cannot exist: this tests the whole path and reads no user's data."""
        try:
            async with self.call(MEMORY) as container:
                await container.read_item("ping", NOBODY)
        except ItemMissing:
            return

    async def close(self) -> None:
        """Close the client. Idempotent."""
        await self._client.close()
