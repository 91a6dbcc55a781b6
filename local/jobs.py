"""The queue of a laptop: jobs in this process, worked on at once. What is lost with it the timer finds again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from shared.adapters.queue.messages import write_job
from shared.ports.jobs import ConsolidationJob

MAX_DELIVERIES = 5
RETRY_SECONDS = 30.0  # as visibilityTimeout of host.json
WORKERS = 2

Work = Callable[[bytes, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Message:
    body: bytes
    deliveries: int = 0


class LocalQueue:
    """Takes jobs, and delivers each as the Storage queue and its trigger would: again, if it failed, five times."""

    def __init__(self, retry_seconds: float = RETRY_SECONDS) -> None:
        """Begin empty."""
        self._retry_seconds = retry_seconds
        self._waiting: asyncio.Queue[_Message] = asyncio.Queue()
        self._poison: list[_Message] = []

    async def put(self, job: ConsolidationJob) -> None:
        """Take a job."""
        self._waiting.put_nowait(_Message(write_job(job).encode()))

    async def length(self) -> int:
        """How many jobs wait."""
        return self._waiting.qsize()

    async def count_poison(self) -> int:
        """How many jobs failed five times."""
        return len(self._poison)

    async def requeue(self) -> int:
        """Deliver again what failed five times."""
        requeued, self._poison = self._poison, []
        for message in requeued:
            self._waiting.put_nowait(_Message(message.body))
        return len(requeued)

    @contextlib.asynccontextmanager
    async def working(self, work: Work) -> AsyncIterator[None]:
        """Deliver jobs while the block runs."""
        workers = [asyncio.create_task(self._deliver(work)) for _ in range(WORKERS)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)

    async def drain(self, work: Work) -> None:
        """Deliver until none waits; what fails is delivered again at once."""
        while not self._waiting.empty():
            await self._deliver_one(self._waiting.get_nowait(), work, self._waiting.put_nowait)

    async def _deliver(self, work: Work) -> None:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._waiting.get()
            await self._deliver_one(
                message,
                work,
                lambda again: loop.call_later(self._retry_seconds, self._waiting.put_nowait, again),
            )

    async def _deliver_one(
        self, message: _Message, work: Work, again: Callable[[_Message], object]
    ) -> None:
        delivered = _Message(message.body, message.deliveries + 1)
        try:
            await work(delivered.body, delivered.deliveries)
        except Exception:  # noqa: BLE001 - as the host does; the run has logged it
            if delivered.deliveries < MAX_DELIVERIES:
                again(delivered)
            else:
                self._poison.append(delivered)
