"""The Functions host's side of a queue trigger: delivery, retries and the poison queue."""

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

from azure.core.exceptions import AzureError, HttpResponseError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from devtools.worker_protocol import Function, TypedData, Worker

AZURITE_KEY = (  # Azurite's published key
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
AZURITE = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={AZURITE_KEY};"
AZURITE_HERE = f"{AZURITE}QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
OVERRIDES = "AzureFunctionsJobHost__extensions__queues__"  # app settings that override host.json
INVISIBLE_SECONDS = 600  # for how long a message is hidden while it is being processed
MAX_RECEIVED = 32  # messages per request, Storage's own limit
POLL_SECONDS = 0.1
UNAVAILABLE_SECONDS = 1.0  # until an unavailable queue is polled again


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """The queue section of host.json."""

    batch_size: int
    max_deliveries: int
    retry_seconds: int

    @classmethod
    def read(cls, host: Mapping[str, Any], environment: Mapping[str, str]) -> Self:
        """Read host.json with the overrides of app settings and the host's defaults."""
        options = dict(host.get("extensions", {}).get("queues", {}))
        for name, value in environment.items():
            if name.startswith(OVERRIDES):
                options[name.removeprefix(OVERRIDES)] = value
        hours, minutes, seconds = map(int, options.get("visibilityTimeout", "00:00:00").split(":"))
        return cls(
            batch_size=int(options.get("batchSize", 16)),
            max_deliveries=int(options.get("maxDequeueCount", 5)),
            retry_seconds=hours * 3600 + minutes * 60 + seconds,
        )


class Pump:
    """Delivers the messages of one queue to its function."""

    def __init__(
        self, worker: Worker, function: Function, options: QueueOptions, connection: str
    ) -> None:
        """Open the trigger's queue and its poison queue by a connection string."""
        if connection == "UseDevelopmentStorage=true":
            connection = AZURITE_HERE
        name = str(function.trigger["queueName"])
        self._worker = worker
        self._function = function
        self._options = options
        self._queue = QueueClient.from_connection_string(connection, name)
        self._poison = QueueClient.from_connection_string(connection, f"{name}-poison")
        self._room = asyncio.Semaphore(options.batch_size + options.batch_size // 2)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver messages until the block ends, then wait for the running invocations."""
        async with self._queue, self._poison, asyncio.TaskGroup() as invocations:
            fetching = asyncio.create_task(self._fetch(invocations))
            try:
                yield
            finally:
                fetching.cancel()
                await asyncio.wait({fetching})

    async def _fetch(self, invocations: asyncio.TaskGroup) -> None:
        while True:
            try:
                messages = await self._receive()
            except AzureError:  # the queue does not exist yet or is unavailable: keep polling
                await asyncio.sleep(UNAVAILABLE_SECONDS)
                continue
            for message in messages:
                await self._room.acquire()
                invocations.create_task(self._deliver(message))
            if not messages:
                await asyncio.sleep(POLL_SECONDS)

    async def _receive(self) -> list[QueueMessage]:
        found = self._queue.receive_messages(
            max_messages=min(MAX_RECEIVED, self._options.batch_size),
            visibility_timeout=INVISIBLE_SECONDS,
        )
        return [message async for message in found]

    async def _deliver(self, message: QueueMessage) -> None:
        data, metadata = TypedData(string=_decode(message.content)), _metadata(message)
        try:
            failure = await self._worker.invoke(self._function, data, str(uuid4()), metadata)
            # Refused if it took too long and the message was delivered again meanwhile.
            with contextlib.suppress(HttpResponseError):
                await self._settle(message, failure)
        finally:
            self._room.release()

    async def _settle(self, message: QueueMessage, failure: str | None) -> None:
        if failure is None:
            await self._queue.delete_message(message)
        elif (message.dequeue_count or 0) < self._options.max_deliveries:
            await self._queue.update_message(
                message, visibility_timeout=self._options.retry_seconds
            )
        else:
            await self._poison.send_message(message.content)
            await self._queue.delete_message(message)


def _decode(content: str) -> str:
    try:
        return base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return content


def _metadata(message: QueueMessage) -> dict[str, TypedData]:
    times = {
        "InsertionTime": message.inserted_on,
        "ExpirationTime": message.expires_on,
        "NextVisibleTime": message.next_visible_on,
    }
    return {
        "Id": TypedData(string=message.id),
        "PopReceipt": TypedData(string=message.pop_receipt),
        "DequeueCount": TypedData(json=str(message.dequeue_count)),
        **{
            name: TypedData(json=json.dumps(time.isoformat()))
            for name, time in times.items()
            if time
        },
    }
