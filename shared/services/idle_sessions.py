"""Sessions that went quiet: found by the timer, put on the queue; parked ones listed and tried anew."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime

from shared.ports.clock import Clock
from shared.ports.jobs import JobQueue
from shared.ports.sessions import SessionStore
from shared.ports.summaries import DueSession, ParkedSession, SummaryStore
from shared.telemetry import log_event

RUN_SECONDS = 240.0  # of one run of the timer, which comes every five minutes
MAX_WAITING = (
    5000  # jobs on the queue: whoever works on them has enough, and would get every one twice
)
SENDERS = 32


class IdleSessions:
    """Asks Cosmos DB what is due and puts it on the queue. Twice, or by two timers, is harmless: jobs are."""

    def __init__(
        self, sessions: SessionStore, summaries: SummaryStore, jobs: JobQueue, clock: Clock
    ) -> None:
        """Take the ports."""
        self._sessions = sessions
        self._summaries = summaries
        self._jobs = jobs
        self._clock = clock

    async def queue_due(self) -> int:
        """Put every due session on the queue, page by page; how many. None while the queue holds over 5,000.

        Raises:
            QueueUnavailable, StoreUnavailable, Busy: the next run begins anew.
        """
        now = self._clock.now()
        waiting = await self._jobs.length()
        queued, oldest = 0, now
        try:
            async with asyncio.timeout(RUN_SECONDS):
                async for page in self._summaries.find_due(now):
                    oldest = min([oldest, *(one.due_at for one in page)])
                    if waiting > MAX_WAITING:
                        break
                    await self._queue(page)
                    queued += len(page)
        except TimeoutError:
            pass  # the rest is found by the next run
        _report(queued, waiting, now, oldest)
        return queued

    async def list_parked(self) -> list[ParkedSession]:
        """Sessions that were given up."""
        return [one async for page in self._summaries.find_parked() for one in page]

    async def count_poison(self) -> int:
        """How many messages of the queue failed for good.

        Raises:
            QueueUnavailable: the queue does not answer.
        """
        return await self._jobs.count_poison()

    async def revive(self) -> int:
        """Make parked sessions due at once and put poison messages back; how many of both. Twice is harmless."""
        revived = await self._jobs.revive()
        for parked in await self.list_parked():
            header = await self._sessions.read_header(parked.job.user, parked.job.session)
            if (
                header
                and header.parked
                and await self._summaries.postpone(parked.job.user, header, None)
            ):
                revived += 1
        return revived

    async def _queue(self, page: Sequence[DueSession]) -> None:
        waiting: Iterator[DueSession] = iter(page)

        async def send() -> None:
            for one in waiting:
                await self._jobs.put(one.job)

        await asyncio.gather(*(send() for _ in range(SENDERS)))


def _report(queued: int, waiting: int, now: datetime, oldest: datetime) -> None:
    log_event(
        "due_sessions",
        queued=queued,
        waiting=waiting,
        oldest_seconds=round((now - oldest).total_seconds()),
    )
