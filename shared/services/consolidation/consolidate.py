"""Consolidation: what was said in a session since its last summary goes into the next one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.deadlines import Deadlines
from shared.domain.errors import (
    Busy,
    Contended,
    KeepsakeError,
    ModelUnavailable,
    NotFound,
    SessionErased,
    StoreUnavailable,
)
from shared.domain.ids import SessionId, UserId
from shared.domain.learning.chunks import Chunk
from shared.domain.sessions import Header
from shared.domain.summaries import Summary
from shared.ports.consolidation import ConsolidationStore, Failure
from shared.ports.jobs import ConsolidationJob, JobQueue
from shared.ports.models import EmbedderUnavailable
from shared.ports.preferences import StoredPreferences
from shared.ports.sessions import SessionStore
from shared.ports.system import Clock
from shared.ports.turns import TurnStore
from shared.services.consolidation.filtered import FilteredSummariser
from shared.services.consolidation.quarantine_keeper import QuarantineKeeper
from shared.services.consolidation.recent_sessions import RecentSessions
from shared.services.optimistic import OptimisticWriter
from shared.services.recall import VectorBackfill
from shared.telemetry import digest, log_event, log_failure, names
from shared.telemetry.metrics import count_dead_lettered, count_summary
from shared.telemetry.spans import count_records, memory_span

TURNS_AT_A_TIME = 100
MAX_ATTEMPTS = 5
VECTORS_DELAY = timedelta(hours=1)  # until the embedding model is asked again
SETTLE_DELAY = timedelta(minutes=15)  # shorter than turns live with memory switched off
FIRST_DELAY = timedelta(minutes=5)  # after a failure; three times as long after each further one


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidation:
    """Consolidates one session at a time, chunk by chunk; each is committed before the next.

    Idempotent, also when runs overlap or die: what is new is what follows the header's
    `consolidated_seq`, and a chunk is committed together with it, on the header's ETag.
    """

    sessions: SessionStore
    turns: TurnStore
    store: ConsolidationStore
    quarantines: QuarantineKeeper
    recent_sessions: RecentSessions
    summariser: FilteredSummariser
    backfill: VectorBackfill
    jobs: JobQueue
    writer: OptimisticWriter
    clock: Clock
    deadlines: Deadlines

    async def consolidate(self, user: UserId, session: SessionId) -> Header:
        """Consolidate now, for at most a minute, and return the header as it is then.

        Raises:
            NotFound: this user has no such session.
            ModelUnavailable: no chunk could be summarised.
            SessionErased, StoreUnavailable, Busy: what was committed by then stays.
        """
        header = await self.sessions.read_header(user, session)
        if header is None or header.turn_count == 0:
            raise NotFound("There is no such session", target="session_id")
        await self._consolidate_in_time(user, header)
        await self.recent_sessions.publish(user, session)
        return await self._reread(user, header)

    async def run(self, job: ConsolidationJob, *, last_delivery: bool = False) -> None:
        """Do a job of the queue. A failure is recorded on the header, for a retry or for good.

        On a message's last delivery the failure is recorded first: it counts even if the run
        takes the process down with it (F24).

        Raises:
            StoreUnavailable, Busy, QueueUnavailable: deliver the message again.
        """
        header = await self.sessions.read_header(job.user, job.session)
        if header is None or header.turn_count == 0:
            return
        if last_delivery:
            await self._record_failure(job, "delivered_too_often")
        try:
            done = await self._consolidate_in_time(job.user, header)
            await self.recent_sessions.publish(job.user, job.session)
        except SessionErased:
            return
        except (StoreUnavailable, Busy):
            raise
        except Exception as failed:  # noqa: BLE001 - it must not come back forever (F24)
            log_failure("consolidation_failed", failed)
            if not last_delivery:
                await self._record_failure(job, _reason(failed))
            return
        if not done:
            await self.jobs.put(job)

    async def _consolidate_in_time(self, user: UserId, header: Header) -> bool:
        """Whether everything said by now is consolidated; it is a failure if nothing is."""
        try:
            async with asyncio.timeout(self.deadlines.consolidation):
                return await self._consolidate_all(user, header)
        except TimeoutError as late:
            behind = header.consolidated_seq < header.turn_count
            now = await self._reread(user, header) if behind else header
            if behind and now.consolidated_seq == header.consolidated_seq:
                raise ModelUnavailable(
                    "Summarising took too long; send the same request again", retry_after=2
                ) from late
            return False

    async def _consolidate_all(self, user: UserId, header: Header) -> bool:
        """Settle the quarantine, summarise chunk by chunk, then add missing vectors.

        With memory switched off, only the quarantine is settled. Returns whether all is done now.
        """
        settlement = await self.quarantines.settle(user, header)
        done = await self._consolidate_chunks(user, header, settlement.stored)
        if settlement.is_stuck:
            await self._postpone(user, header)
        elif settlement.stored.quarantine.suspects:
            return False
        return done

    async def _consolidate_chunks(
        self, user: UserId, header: Header, stored: StoredPreferences
    ) -> bool:
        upto, after = header.turn_count, _unembedded_after(header)
        if not (stored.preferences.memory_enabled or stored.epoch != header.epoch):
            await self._clear_due(user, header)
            return True
        while header.consolidated_seq < upto:
            header = await self._consolidate_chunk(user, header, upto, stored)
        return await self._fill_vectors(user, header, after)

    async def _postpone(self, user: UserId, header: Header) -> None:
        """Make the session due later: then the model may be there to settle the quarantine."""
        again = self.clock.now() + SETTLE_DELAY

        async def postpone(current: Header) -> bool:
            failure = Failure(again, current.attempts, "quarantine")
            return await self.store.postpone(user, current, failure)

        await self._write(user, await self._reread(user, header), postpone)

    async def _consolidate_chunk(
        self, user: UserId, header: Header, upto: int, stored: StoredPreferences
    ) -> Header:
        """Summarise what comes next and commit it; returns the header afterwards."""
        after = header.consolidated_seq
        turns = await self.turns.list_turns(
            user, header.session_id, header.gen, after, TURNS_AT_A_TIME
        )
        chunk = self.summariser.cut(turns, upto)
        summary = await self.summariser.summarise(user, header, chunk, stored)

        async def save(current: Header) -> bool:
            if current.consolidated_seq != after:
                return True  # another run was faster: its result stays, ours is discarded
            return await self._save(user, current, summary, chunk)

        await self._write(user, header, save)
        return await self._reread(user, header)

    async def _save(
        self, user: UserId, header: Header, summary: Summary | None, chunk: Chunk
    ) -> bool:
        with memory_span(names.UPSERT_MEMORY) as span:
            count_records(span, 1)
            saved = await self.store.save_summary(user, header, summary, chunk.upto)
        if saved:
            count_summary(len(chunk.turns), extractive=bool(summary and summary.extractive))
        return saved

    async def _fill_vectors(self, user: UserId, header: Header, after_seq: int) -> bool:
        """Whether nothing is left to do about vectors now; if that fails, they are due later."""
        try:
            filled = await self.backfill.fill(user, header, after_seq)
        except (EmbedderUnavailable, Contended) as failed:
            log_failure("vectors_missing", failed, subject=digest(user.value))
            again = self.clock.now() + VECTORS_DELAY

            async def postpone(current: Header) -> bool:
                return await self.store.await_vectors(user, current, after_seq + 1, again)

            await self._write(user, header, postpone)
            return True
        if filled and header.consolidated_seq == header.turn_count:
            await self._clear_due(user, header)
        return filled

    async def _clear_due(self, user: UserId, header: Header) -> None:
        if header.due_at or header.vectors_from:
            await self.store.clear_due(user, header)

    async def _record_failure(self, job: ConsolidationJob, reason: str) -> None:
        """Make the session due again, later each time; dead-letter it after five failures."""
        header = await self.sessions.read_header(job.user, job.session)
        if header is None:
            return

        async def postpone(current: Header) -> bool:
            if current.consolidated_seq >= current.turn_count:
                return True
            failure = self._failure(current.attempts + 1, reason)
            recorded = await self.store.postpone(job.user, current, failure)
            if recorded and failure.due_at is None:
                count_dead_lettered(reason)
                subject = digest(job.user.value)
                log_event("session_dead_lettered", reason=reason, subject=subject)
            return recorded

        try:
            await self._write(job.user, header, postpone)
        except SessionErased:
            return

    def _failure(self, attempts: int, reason: str) -> Failure:
        retry = attempts < MAX_ATTEMPTS
        due_at = self.clock.now() + FIRST_DELAY * 3 ** (attempts - 1) if retry else None
        return Failure(due_at, attempts, reason)

    async def _write(
        self, user: UserId, seen: Header, change: Callable[[Header], Awaitable[bool]]
    ) -> None:
        """Apply a change to the header; to the one stored by then if another writer is faster."""
        header = seen

        async def attempt() -> bool | None:
            nonlocal header
            if await change(header):
                return True
            header = await self._reread(user, header)
            return None

        await self.writer.write(("session", user, seen.session_id), attempt)

    async def _reread(self, user: UserId, seen: Header) -> Header:
        header = await self.sessions.read_header(user, seen.session_id)
        if header is None or header.gen != seen.gen:
            raise SessionErased("The session was deleted meanwhile; nothing of it is kept")
        return header


def _reason(failed: Exception) -> str:
    return failed.code if isinstance(failed, KeepsakeError) else type(failed).__name__


def _unembedded_after(header: Header) -> int:
    """The seq after which turns may lack a vector: new ones, and those that wait for one.

    If nothing is new, any turn may.
    """
    if header.consolidated_seq == header.turn_count:
        return 0
    waiting = header.turn_count if header.vectors_from is None else header.vectors_from - 1
    return min(header.consolidated_seq, waiting)
