"""The one Cosmos DB client of a worker: made once, counted at its transport, closed once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.transport import AioHttpTransport, AsyncHttpTransport
from azure.cosmos.aio import ContainerProxy, CosmosClient

from shared.adapters.cosmos_errors import (
    TOO_MANY_REQUESTS,
    ItemMissing,
    busy,
    is_failure,
    throttle_hint,
    translate_cosmos_errors,
)
from shared.adapters.cosmos_operations import SYSTEM, operation_of
from shared.domain.errors import StoreUnavailable
from shared.domain.ids import UserId
from shared.metering import current_meter
from shared.telemetry.metrics import count_charge
from shared.telemetry.spans import mark_status, store_call

CALL_SECONDS = (
    2.5  # one call with all its retries; everything that is not the model has 3 s together
)
Batch = Sequence[
    tuple[str, tuple[Any, ...], dict[str, Any]]
]  # operation, its arguments, its conditions
LONGEST_WAIT = (
    1.0  # seconds a throttled call may be asked to wait before the caller is asked instead
)
NOBODY = "?"  # no user id has this character: a partition that is always empty


@dataclass(frozen=True, slots=True)
class CosmosAccount:
    """Where the account is, and a key or an identity to open it with; `transport` None is the SDK's own."""

    endpoint: str
    database: str
    credential: str | AsyncTokenCredential
    transport: AsyncHttpTransport[Any, Any] | None = None


class CosmosContainers:
    """Hands out containers of one client; also the dependency `cosmos` of readiness."""

    name = "cosmos"

    def __init__(self, account: CosmosAccount) -> None:
        """Make the client; it connects with its first call."""
        # aiohttp would look up proxies and netrc for every call, by two hops to a thread each
        transport = account.transport or AioHttpTransport(use_env_settings=False)
        self._client = CosmosClient(
            account.endpoint,
            account.credential,
            transport=CountingTransport(transport, urlsplit(account.endpoint).hostname or ""),
            connection_timeout=1,
            read_timeout=2,
            retry_total=3,
            retry_read=0,  # a write whose answer was lost is judged by us, never repeated blindly (F12)
            retry_connect=1,
            retry_status=0,
            retry_throttle_total=3,
            retry_throttle_backoff_max=1,
            enable_compact_utf8_item_writes=True,
        )
        self._database = self._client.get_database_client(account.database)
        self._entering = asyncio.Lock()
        self._entered = False

    @asynccontextmanager
    async def call(self, container: str) -> AsyncIterator[ContainerProxy]:
        """One call on a container: bounded in time, its SDK errors translated.

        Raises:
            StoreUnavailable, Busy: as the table in cosmos_errors says; item-level outcomes as their own types.
        """
        try:
            async with asyncio.timeout(CALL_SECONDS):
                with translate_cosmos_errors():
                    await self._enter()
                    yield self._database.get_container_client(container)
        except TimeoutError as late:
            raise StoreUnavailable(
                "Cosmos DB did not answer in time; send the same request again"
            ) from late

    async def write_batch(self, container: str, user: UserId, batch: Batch) -> None:
        """Write all of a transactional batch or nothing; the raised outcome is that of the operation that failed."""
        async with self.call(container) as proxy:
            await proxy.execute_item_batch(batch, user.value)

    async def _enter(self) -> None:
        """Let the client learn the account's consistency, once: without it, it sends no session tokens."""
        async with self._entering:
            if not self._entered:
                await self._client.__aenter__()
                self._entered = True

    async def ping(self) -> None:
        """Read an item that cannot exist: it takes the whole path and touches nobody's data."""
        try:
            async with self.call("memory") as container:
                await container.read_item("ping", NOBODY)
        except ItemMissing:
            return

    async def close(self) -> None:
        """Close the client. Twice is harmless."""
        await self._client.close()


class CountingTransport(AsyncHttpTransport[Any, Any]):
    """Passes requests on to the real transport and counts them, with their charge, on the request's meter."""

    def __init__(self, inner: AsyncHttpTransport[Any, Any], server: str) -> None:
        """Wrap a transport to a server."""
        self._inner = inner
        self._server = server

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request."""
        meter = current_meter()
        meter.cosmos_calls += 1
        operation, collection = operation_of(request.method, request.url, request.headers)
        with store_call(SYSTEM, operation, self._server, collection=collection) as span:
            response = await self._inner.send(request, **kwargs)
            mark_status(span, response.status_code, failed=is_failure(response.status_code))
        charge = float(response.headers.get("x-ms-request-charge", 0))
        meter.request_units += charge
        count_charge(charge, response.status_code)
        if (
            response.status_code == TOO_MANY_REQUESTS
            and throttle_hint(response.headers) > LONGEST_WAIT
        ):
            raise busy(response.headers)  # the SDK would sleep through it and through our deadline
        return response

    async def open(self) -> None:
        """Open the wrapped transport."""
        await self._inner.open()

    async def close(self) -> None:
        """Close the wrapped transport."""
        await self._inner.close()

    async def __aenter__(self) -> Self:
        """Open the wrapped transport."""
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        """Close the wrapped transport."""
        await self._inner.__aexit__(*details)  # type: ignore[arg-type]  # the SDK's own signature is untyped
