"""The in-process job queue of `make run`.

Jobs that are lost when the process ends are queued again by the timer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from shared.adapters.queue.messages import write_job
from shared.ports.jobs import ConsolidationJob

MAX_DELIVERIES = 5
RETRY_SECONDS = 30.0  # visibilityTimeout of host.json
WORKERS = 2

Work = Callable[[bytes, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Message:
    body: bytes
    deliveries: int = 0


@dataclass(slots=True)
class LocalQueue:
    """Delivers jobs as the Storage queue and its trigger do: up to five times, then to poison."""

    retry_seconds: float = RETRY_SECONDS
    _waiting: asyncio.Queue[_Message] = field(default_factory=asyncio.Queue, init=False)
    _poison: list[_Message] = field(default_factory=list, init=False)

    async def put(self, job: ConsolidationJob) -> None:
        """Enqueue a job; consolidating twice is idempotent, so enqueuing twice is too."""
        self._waiting.put_nowait(_Message(write_job(job).encode()))

    async def length(self) -> int:
        """Return the number of waiting jobs."""
        return self._waiting.qsize()

    async def count_poison(self) -> int:
        """Return the number of jobs that failed five times."""
        return len(self._poison)

    async def requeue(self) -> int:
        """Put jobs that failed five times back on the queue; return how many."""
        requeued, self._poison = self._poison, []
        for message in requeued:
            self._waiting.put_nowait(_Message(message.body))
        return len(requeued)

    @contextlib.asynccontextmanager
    async def working(self, work: Work) -> AsyncIterator[None]:
        """Deliver jobs until the block ends."""
        workers = [asyncio.create_task(self._deliver(work)) for _ in range(WORKERS)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)

    async def drain(self, work: Work) -> None:
        """Deliver jobs until none is waiting; retry failed ones immediately."""
        while not self._waiting.empty():
            await self._deliver_one(self._waiting.get_nowait(), work, self._waiting.put_nowait)

    async def _deliver(self, work: Work) -> None:
        while True:
            await self._deliver_one(await self._waiting.get(), work, self._retry_later)

    def _retry_later(self, message: _Message) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(self.retry_seconds, self._waiting.put_nowait, message)

    async def _deliver_one(
        self, message: _Message, work: Work, retry: Callable[[_Message], object]
    ) -> None:
        delivered = _Message(message.body, message.deliveries + 1)
        try:
            await work(delivered.body, delivered.deliveries)
        except Exception:  # noqa: BLE001 - as the host does; the job has logged its failure
            if delivered.deliveries < MAX_DELIVERIES:
                retry(delivered)
            else:
                self._poison.append(delivered)
