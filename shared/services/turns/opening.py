"""How a turn is opened: what it reads before the model is asked.

docs/turn-protocol.md is the specification, model-checked; the names here follow it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from shared.domain.deadlines import Deadlines
from shared.domain.errors import StoreUnavailable, TurnInProgress
from shared.domain.history import fit_window, newest_run
from shared.domain.sessions import Header
from shared.domain.turns import Turn
from shared.ports.cache import CachedSession, LeaseConflict, LeaseHeld, LeaseOutcome
from shared.ports.preferences import PreferenceStore, StoredPreferences
from shared.ports.sessions import SessionStore
from shared.ports.turns import TurnStore
from shared.services.turns.admission import Gate
from shared.services.turns.attempt import (
    CACHE_UNAVAILABLE,
    WINDOW_INCOMPLETE,
    Snapshot,
    TurnAttempt,
)
from shared.services.turns.lease import Leases
from shared.services.turns.stored_turn import (
    StoredTurn,
    conflict,
    replay,
    reread_header,
)

TAIL_READS = (
    3  # a tail that ends before the header's count is read again; then the turn does without
)
MIN_POLL, MAX_POLL = 0.1, 1.0  # seconds between two looks at the lease, growing


class TurnOpening:
    """Opens turns. Everything durable that it does is idempotent."""

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        preferences: PreferenceStore,
        leases: Leases,
        work: Gate,
        deadlines: Deadlines,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._preferences = preferences
        self._leases = leases
        self._deadlines = deadlines
        self._work = work

    async def open(self, attempt: TurnAttempt) -> StoredTurn | None:
        """Take the turn's lease and set the attempt's snapshot, or find the turn stored already.

        Raises:
            TurnConflict: the turn id was used for a different body.
            TurnInProgress: another request is still working on the turn after eight seconds.
            SessionErased: the session was deleted meanwhile.
            StoreUnavailable: Cosmos DB did not answer in time.
        """
        loop = asyncio.get_running_loop()
        answer_by = (
            loop.time() + attempt.seconds_left - 1
        )  # a last look and an answer take a moment
        give_up_at: float | None = None
        while True:
            # The 3 s of an opening start once it has its place.
            async with self._leases.held(attempt), self._at_work(attempt), self._bounded():
                reads = await self._read(attempt)
                if isinstance(reads.cached, LeaseConflict):
                    raise conflict()
                if not isinstance(reads.cached, LeaseHeld):
                    stored = await self._open(attempt, reads)
                    if stored is None:
                        await self._read_loop(attempt)
                    return stored
                own = await self._read_own(attempt, reads.header)
            if own:
                return replay(own, attempt.body_hash)
            give_up_at = give_up_at or min(answer_by, loop.time() + self._deadlines.duplicate_wait)
            if loop.time() >= give_up_at:
                raise TurnInProgress(
                    "Another request is working on this turn; send it again to collect the answer",
                    retry_after=reads.cached.seconds,
                )
            async with self._leases.held(attempt):
                await self._wait_for_lease(attempt, give_up_at)

    async def _read(self, attempt: TurnAttempt) -> "_Reads":
        """Take the lease, and read header and preferences at the same time."""
        user, session = attempt.request.user, attempt.request.session
        taking = asyncio.create_task(self._leases.take(attempt))
        try:
            header, preferences = await asyncio.gather(
                self._sessions.read_header(user, session), self._preferences.read(user)
            )
        finally:
            cached = await taking  # a lease that is still on its way could not be released
        return _Reads(header or await self._begin_session(attempt), preferences, cached)

    async def _begin_session(self, attempt: TurnAttempt) -> Header:
        """Create the header, until there is one: a store that failed may not have done so (F59)."""
        request = attempt.request
        while True:
            await self._sessions.open_session(
                request.user, request.session, request.agent_id, attempt.now
            )
            header = await self._sessions.read_header(request.user, request.session)
            if header:
                return header
            await asyncio.sleep(MIN_POLL)

    async def _open(self, attempt: TurnAttempt, reads: "_Reads") -> StoredTurn | None:
        if reads.cached is None:
            attempt.degraded.add(CACHE_UNAVAILABLE)
        cached = reads.usable_turns(attempt)
        own = next((turn for turn in cached if turn.turn_id == attempt.request.turn_id), None)
        if own:
            return replay(own, attempt.body_hash)
        if reads.is_exact(cached):
            return self._set_snapshot(attempt, reads, cached, cold=False)
        if reads.header.turn_count == 0:
            return self._set_snapshot(attempt, reads, (), cold=True)
        return await self._open_cold(attempt, reads)

    async def _open_cold(self, attempt: TurnAttempt, reads: "_Reads") -> StoredTurn | None:
        for _ in range(TAIL_READS):
            tail, own = await asyncio.gather(
                self._turns.read_tail(attempt.request.user, reads.header),
                self._read_own(attempt, reads.header),
            )
            if own:
                stored = replay(own, attempt.body_hash)
                await self._leases.close(attempt, own, None)
                return stored
            window = newest_run(tail, upto=reads.header.turn_count)
            if window:
                return self._set_snapshot(attempt, reads, fit_window(window), cold=True)
            header = await reread_header(self._sessions, attempt.request.user, reads.header)
            reads = replace(reads, header=header)
        attempt.degraded.add(WINDOW_INCOMPLETE)  # ADR 7
        return self._set_snapshot(attempt, reads, (), cold=True)

    async def _read_loop(self, attempt: TurnAttempt) -> None:
        """Read the turn that started the tool loop, if the request continues one."""
        header = attempt.snapshot.header
        answers = any(message.role == "tool" for message in attempt.messages)
        if header.loop_turn is None or not answers:
            return
        window = {turn.turn_id: turn for turn in attempt.snapshot.window}
        turn = window.get(header.loop_turn) or await self._turns.read_turn(
            attempt.request.user, header.session_id, header.gen, header.loop_turn
        )
        attempt.snapshot = replace(attempt.snapshot, loop_turn=turn)

    async def _read_own(self, attempt: TurnAttempt, header: Header) -> Turn | None:
        request = attempt.request
        return await self._turns.read_turn(
            request.user, request.session, header.gen, request.turn_id
        )

    async def _wait_for_lease(self, attempt: TurnAttempt, give_up_at: float) -> None:
        loop, pause = asyncio.get_running_loop(), MIN_POLL
        while loop.time() < give_up_at:
            await asyncio.sleep(min(pause, give_up_at - loop.time()))
            pause = min(MAX_POLL, pause * 1.5)
            async with self._at_work(attempt):
                if not isinstance(await self._leases.take(attempt), LeaseHeld):
                    return

    @staticmethod
    def _set_snapshot(
        attempt: TurnAttempt, reads: "_Reads", window: Sequence[Turn], *, cold: bool
    ) -> None:
        attempt.snapshot = Snapshot.of(
            reads.header, reads.preferences, window, attempt.now, cold=cold
        )

    def _at_work(self, attempt: TurnAttempt) -> AbstractAsyncContextManager[None]:
        return self._work.entered(attempt.request.user)

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        """Do not let a slow store hold the turn forever."""
        try:
            async with asyncio.timeout(self._deadlines.opening):
                yield
        except TimeoutError as late:
            raise StoreUnavailable(
                "Cosmos DB is too slow to start a turn; send the same request again"
            ) from late


@dataclass(frozen=True, slots=True)
class _Reads:
    """The answers to the three reads that every turn starts with; no cache: it is unavailable."""

    header: Header
    preferences: StoredPreferences
    cached: LeaseOutcome | None

    def usable_turns(self, attempt: TurnAttempt) -> Sequence[Turn]:
        """Unexpired cached turns of the header's incarnation; none from a stale cache."""
        if not isinstance(self.cached, CachedSession) or self.cached.gen != self.header.gen:
            return ()
        return tuple(turn for turn in self.cached.turns if turn.expires_at > attempt.now)

    def is_exact(self, window: Sequence[Turn]) -> bool:
        """Whether these turns are, without a gap, the newest that the header counts."""
        count = self.header.turn_count
        counted = isinstance(self.cached, CachedSession) and self.cached.count == count
        return counted and 0 < len(window) == len(newest_run(window, upto=count))
