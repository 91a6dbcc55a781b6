"""The job queue in Azure Queue Storage, or in Azurite on a laptop."""

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
POISON = f"{QUEUE}-poison"  # the host moves messages here after five failed deliveries
MESSAGE_SECONDS = 86_400  # a session that is still due is queued again long before that
BATCH_SIZE = 32  # the maximum that one request can receive


@dataclass(frozen=True, slots=True)
class QueueAccount:
    """The queue service of a storage account, and the key or identity to access it with.

    `seconds` bounds one call including its retry.
    """

    endpoint: str
    credential: str | AsyncTokenCredential
    seconds: float


class StorageQueue:
    """Sends jobs, which the Functions host receives; also the readiness check `queue`."""

    name = "queue"

    def __init__(self, account: QueueAccount) -> None:
        """Create the clients; they connect on the first call."""
        self._seconds = account.seconds
        self._queue = _client(account, QUEUE)
        self._poison = _client(account, POISON)

    async def put(self, job: ConsolidationJob) -> None:
        """Send one message in base64, as the host expects; it expires after a day.

        Idempotent in effect: the second job finds nothing to do.
        """
        encoded = base64.b64encode(write_job(job).encode()).decode()
        async with self._call():
            await self._queue.send_message(encoded, time_to_live=MESSAGE_SECONDS)

    async def length(self) -> int:
        """The approximate number of messages that are waiting or being processed."""
        return await self._count(self._queue)

    async def count_poison(self) -> int:
        """The approximate number of messages on the poison queue."""
        return await self._count(self._poison)

    async def requeue(self) -> int:
        """Move every poison message back, unchanged; returns how many.

        Idempotent in effect: a message that was sent but not deleted becomes a duplicate job.
        """
        requeued = 0
        while True:
            async with self._call():
                found = [
                    one async for one in self._poison.receive_messages(max_messages=BATCH_SIZE)
                ]
            if not found:
                return requeued
            for message in found:
                async with self._call():
                    await self._queue.send_message(message.content, time_to_live=MESSAGE_SECONDS)
                    await self._poison.delete_message(message)
            requeued += len(found)

    async def ping(self) -> None:
        """Read the queue's properties: this tests that the queue exists and is accessible."""
        await self.length()

    async def close(self) -> None:
        """Close the clients. Idempotent."""
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
