"""Consolidation: what was said in a session since the last time goes into its summary, each turn exactly once."""

import asyncio
from datetime import timedelta

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
from shared.domain.turns import Header
from shared.ports.clock import Clock
from shared.ports.embedder import EmbedderUnavailable
from shared.ports.jobs import ConsolidationJob, JobQueue
from shared.ports.preferences import PreferenceStore
from shared.ports.sessions import SessionStore
from shared.ports.summaries import Failure, SummaryStore
from shared.ports.transcript import TranscriptStore
from shared.services.last_times import LastTimes
from shared.services.missing_vectors import MissingVectors
from shared.services.summariser import Summariser
from shared.telemetry import digest, log_event, log_failure, names
from shared.telemetry.metrics import count_parked, count_summary
from shared.telemetry.spans import count_records, memory_span

RUN_SECONDS = 60.0  # of one session in one run; what is left is queued again
TURNS_AT_A_TIME = 100
WRITE_TRIES = 5
MAX_ATTEMPTS = 5
VECTORS_DELAY = timedelta(
    hours=1
)  # until the embedding model is asked again; meanwhile words find what was said
FIRST_DELAY = timedelta(minutes=5)  # after a failure; three times as long after each further one


class Consolidation:
    """Consolidates one session at a time, piece by piece: every piece is committed before the next is read.

    Twice, at once or after a crash is harmless: what is new is what follows the header's `consolidated_seq`, which a
    piece is committed together with, under the header's etag.
    """

    def __init__(
        self,
        sessions: SessionStore,
        transcript: TranscriptStore,
        preferences: PreferenceStore,
        summaries: SummaryStore,
        last_times: LastTimes,
        summariser: Summariser,
        missing_vectors: MissingVectors,
        jobs: JobQueue,
        clock: Clock,
    ) -> None:
        """Take the ports and the summariser."""
        self._sessions = sessions
        self._transcript = transcript
        self._preferences = preferences
        self._summaries = summaries
        self._last_times = last_times
        self._summariser = summariser
        self._missing_vectors = missing_vectors
        self._jobs = jobs
        self._clock = clock

    async def consolidate(self, user: UserId, session: SessionId) -> Header:
        """Consolidate now; the header as it is then, behind its turns if a minute was not enough.

        Raises:
            NotFound: this user has no such session.
            ModelUnavailable: no piece could be summarised.
            SessionErased, StoreUnavailable, Busy: what is committed by then stays.
        """
        header = await self._sessions.read_header(user, session)
        if header is None or header.turn_count == 0:
            raise NotFound("There is no such session", target="session_id")
        await self._consolidate_in_time(user, header)
        await self._last_times.publish(user, session)
        return await self._reread(user, header)

    async def run(self, job: ConsolidationJob, *, last_delivery: bool = False) -> None:
        """Do a job of the queue. A failure is written down on the header, to be tried later or parked.

        The last delivery of a message is written down beforehand: if it takes the process along, it counts (F24).

        Raises:
            StoreUnavailable, Busy, QueueUnavailable: the message is to be delivered again.
        """
        header = await self._sessions.read_header(job.user, job.session)
        if header is None or header.turn_count == 0:
            return
        if last_delivery:
            await self._fail(job, "delivered_too_often")
        try:
            done = await self._consolidate_in_time(job.user, header)
            await self._last_times.publish(job.user, job.session)
        except SessionErased:
            return
        except (StoreUnavailable, Busy):
            raise
        except Exception as failed:  # noqa: BLE001 - a session that always fails must not come back for ever (F24)
            log_failure("consolidation_failed", failed)
            if not last_delivery:
                await self._fail(
                    job, failed.code if isinstance(failed, KeepsakeError) else type(failed).__name__
                )
            return
        if not done:
            await self._jobs.put(job)

    async def _consolidate_in_time(self, user: UserId, header: Header) -> bool:
        """Whether all that was said by now is consolidated; when time is over before anything is, that is a failure."""
        try:
            async with asyncio.timeout(RUN_SECONDS):
                return await self._consolidate_all(user, header)
        except TimeoutError as late:
            behind = header.consolidated_seq < header.turn_count
            if (
                behind
                and (await self._reread(user, header)).consolidated_seq == header.consolidated_seq
            ):
                raise ModelUnavailable(
                    "Summarising took too long; send again", retry_after=2
                ) from late
            return False

    async def _consolidate_all(self, user: UserId, header: Header) -> bool:
        """Piece by piece what was said by now, then the missing vectors, unless the user wants nothing remembered."""
        upto, after = header.turn_count, _unembedded_after(header)
        stored = await self._preferences.read(user)
        if not (stored.preferences.memory_enabled or stored.epoch != header.epoch):
            await self._rest(user, header)
            return True
        while header.consolidated_seq < upto:
            header = await self._consolidate_piece(user, header, upto)
        return await self._fill_vectors(user, header, after)

    async def _fill_vectors(self, user: UserId, header: Header, after_seq: int) -> bool:
        """Whether nothing is left to do about missing vectors now; where that cannot be, they are due again later."""
        try:
            filled = await self._missing_vectors.fill(user, header, after_seq)
        except (EmbedderUnavailable, Contended) as failed:
            log_failure("vectors_missing", failed, subject=digest(user.value))
            await self._await_vectors(user, header, after_seq + 1)
            return True
        if filled and header.consolidated_seq == header.turn_count:
            await self._rest(user, header)
        return filled

    async def _await_vectors(self, user: UserId, header: Header, from_seq: int) -> None:
        again = self._clock.now() + VECTORS_DELAY
        for _ in range(WRITE_TRIES):
            header = await self._reread(user, header)
            if await self._summaries.await_vectors(user, header, from_seq, again):
                return

    async def _rest(self, user: UserId, header: Header) -> None:
        if header.due_at or header.vectors_from:
            await self._summaries.rest(user, header)

    async def _consolidate_piece(self, user: UserId, header: Header, upto: int) -> Header:
        """Summarise what comes next and commit it; the header afterwards."""
        after, gen = header.consolidated_seq, header.gen
        turns = await self._transcript.list_turns(
            user, header.session_id, gen, after, TURNS_AT_A_TIME
        )
        piece = self._summariser.cut(turns, upto)
        summary = await self._summariser.summarise(header.summary, piece, after + 1)
        for _ in range(WRITE_TRIES):
            with memory_span(names.UPSERT_MEMORY) as span:
                count_records(span, 1)
                kept = await self._summaries.keep(user, header, summary, piece.upto)
            if kept:
                count_summary(len(piece.turns), extractive=bool(summary and summary.extractive))
                return await self._reread(user, header)
            header = await self._reread(user, header)
            if header.consolidated_seq != after:
                return header  # somebody else did it: theirs stands, ours is thrown away
        raise Busy(
            "The session is written to faster than it can be consolidated; send again",
            retry_after=1,
        )

    async def _fail(self, job: ConsolidationJob, reason: str) -> None:
        """Write a failure down: due again later and later, after five in a row parked."""
        for _ in range(WRITE_TRIES):
            header = await self._sessions.read_header(job.user, job.session)
            if header is None or header.consolidated_seq >= header.turn_count:
                return
            attempts = header.attempts + 1
            again = (
                self._clock.now() + FIRST_DELAY * 3 ** (attempts - 1)
                if attempts < MAX_ATTEMPTS
                else None
            )
            if await self._summaries.postpone(job.user, header, Failure(again, attempts, reason)):
                if again is None:
                    count_parked(reason)
                    log_event("session_parked", reason=reason, subject=digest(job.user.value))
                return

    async def _reread(self, user: UserId, seen: Header) -> Header:
        header = await self._sessions.read_header(user, seen.session_id)
        if header is None or header.gen != seen.gen:
            raise SessionErased("The session was erased meanwhile; nothing of it is kept")
        return header


def _unembedded_after(header: Header) -> int:
    """After which seq turns may lack a vector: what is new, and what waits for one; with nothing new, anywhere."""
    if header.consolidated_seq == header.turn_count:
        return 0
    waiting = header.turn_count if header.vectors_from is None else header.vectors_from - 1
    return min(header.consolidated_seq, waiting)
