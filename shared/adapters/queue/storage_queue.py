"""The queue of sessions to consolidate: Azure Queue Storage, or Azurite on a laptop."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.queue.aio import QueueClient

from shared.adapters.queue.messages import write_job
from shared.ports.jobs import ConsolidationJob, QueueUnavailable

QUEUE = "consolidate-session"  # as in infra/queues.json
POISON = f"{QUEUE}-poison"  # where the host puts what failed five times
MESSAGE_SECONDS = 86_400  # a session that is still due is queued anew long before that
REQUEUED_AT_A_TIME = 32  # the most that one request takes out of a queue


@dataclass(frozen=True, slots=True)
class QueueAccount:
    """The queue service of a storage account, and a key or an identity to open it with.

    `seconds` bounds one call with its retry.
    """

    endpoint: str
    credential: str | AsyncTokenCredential
    seconds: float


class StorageQueue:
    """Sends jobs; the Functions host receives them. Also the dependency `queue` of readiness."""

    name = "queue"

    def __init__(self, account: QueueAccount) -> None:
        """Make the clients; they connect with their first call."""
        self._seconds = account.seconds
        self._queue = _client(account, QUEUE)
        self._poison = _client(account, POISON)

    async def put(self, job: ConsolidationJob) -> None:
        """Send one message, which lives for a day, in the encoding that the host expects."""
        encoded = base64.b64encode(write_job(job).encode()).decode()
        async with self._call():
            await self._queue.send_message(encoded, time_to_live=MESSAGE_SECONDS)

    async def length(self) -> int:
        """About how many messages wait or are worked on."""
        return await self._count(self._queue)

    async def count_poison(self) -> int:
        """About how many messages the host has put aside."""
        return await self._count(self._poison)

    async def requeue(self) -> int:
        """Send every poison message once more as it is, then delete it there."""
        requeued = 0
        while True:
            async with self._call():
                found = [
                    one
                    async for one in self._poison.receive_messages(max_messages=REQUEUED_AT_A_TIME)
                ]
            if not found:
                return requeued
            for message in found:
                async with self._call():
                    await self._queue.send_message(message.content, time_to_live=MESSAGE_SECONDS)
                    await self._poison.delete_message(message)
            requeued += len(found)

    async def ping(self) -> None:
        """Ask for the queue's properties: it needs the queue and the right to see it."""
        await self.length()

    async def close(self) -> None:
        """Close the clients. Twice is harmless."""
        await asyncio.gather(self._queue.close(), self._poison.close())

    async def _count(self, queue: QueueClient) -> int:
        async with self._call():
            properties = await queue.get_queue_properties()
        return properties.approximate_message_count or 0

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except (AzureError, OSError, TimeoutError) as failed:
            raise QueueUnavailable from failed


def _client(account: QueueAccount, name: str) -> QueueClient:
    return QueueClient(
        account.endpoint,
        name,
        credential=account.credential,
        transport=AioHttpTransport(use_env_settings=False),
        connection_timeout=1,
        read_timeout=2,
        retry_total=1,
    )
