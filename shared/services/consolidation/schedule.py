"""The schedule of consolidation: due sessions go on the queue, dead-lettered ones get retried."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.deadlines import Deadlines
from shared.ports.consolidation import ConsolidationStore, DeadLetteredSession, DueSession
from shared.ports.jobs import JobQueue
from shared.ports.sessions import SessionStore
from shared.ports.system import Clock
from shared.telemetry import log_event

MAX_WAITING = 5000  # jobs on the queue: its workers have enough to do, and would get each twice
SENDERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolidationSchedule:
    """Finds due sessions in Cosmos DB and enqueues them. Idempotent, because the jobs are."""

    sessions: SessionStore
    store: ConsolidationStore
    jobs: JobQueue
    clock: Clock
    deadlines: Deadlines

    async def queue_due(self) -> int:
        """Enqueue every due session, page by page; returns how many.

        Enqueues nothing while the queue holds more than 5,000 messages.

        Raises:
            QueueUnavailable, StoreUnavailable, Busy: the next run starts over.
        """
        now = self.clock.now()
        waiting = await self.jobs.length()
        queued, oldest = 0, now
        try:
            async with asyncio.timeout(self.deadlines.timer_run):
                async for page in self.store.find_due(now):
                    oldest = min([oldest, *(one.due_at for one in page)])
                    if waiting > MAX_WAITING:
                        break
                    await self._queue(page)
                    queued += len(page)
        except TimeoutError:
            pass  # the next run finds the rest
        _report(queued, waiting, now, oldest)
        return queued

    async def list_dead_lettered(self) -> list[DeadLetteredSession]:
        """Sessions that could not be consolidated."""
        return [one async for page in self.store.find_dead_lettered() for one in page]

    async def count_poison(self) -> int:
        """How many messages of the queue have failed for good.

        Raises:
            QueueUnavailable: the queue does not answer.
        """
        return await self.jobs.count_poison()

    async def requeue(self) -> int:
        """Make dead-lettered sessions due and put poison messages back; returns how many.

        Idempotent: the second time there are none.
        """
        requeued = await self.jobs.requeue()
        for dead in await self.list_dead_lettered():
            header = await self.sessions.read_header(dead.job.user, dead.job.session)
            if header and header.dead_lettered:
                requeued += await self.store.postpone(dead.job.user, header, None)
        return requeued

    async def _queue(self, page: Sequence[DueSession]) -> None:
        waiting: Iterator[DueSession] = iter(page)

        async def send() -> None:
            for one in waiting:
                await self.jobs.put(one.job)

        await asyncio.gather(*(send() for _ in range(SENDERS)))


def _report(queued: int, waiting: int, now: datetime, oldest: datetime) -> None:
    oldest_seconds = round((now - oldest).total_seconds())
    log_event("due_sessions", queued=queued, waiting=waiting, oldest_seconds=oldest_seconds)
