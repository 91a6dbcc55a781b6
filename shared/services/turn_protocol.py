"""The turn protocol: what a turn may read before it asks, and the one way in which it is stored.

docs/turn-protocol.md is the specification, model-checked; names here follow it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from shared.domain.errors import StoreUnavailable, TurnInProgress
from shared.domain.ids import UserId
from shared.domain.turns import Header, Turn, fit_window, newest_run
from shared.ports.cache import (
    CacheUnavailable,
    LeaseConflict,
    LeaseHeld,
    LeaseRequest,
    OpenedTurn,
    SessionCache,
)
from shared.ports.commits import Draft
from shared.ports.preferences import PreferenceStore
from shared.ports.sessions import SessionStore
from shared.ports.transcript import TranscriptStore
from shared.services.commits import Commits, Settled, conflict, erased, replay, reread_header
from shared.services.openings import CACHE_AWAY, Asked, Opened, Reading
from shared.telemetry.spans import append_span

TAIL_READS = (
    3  # a tail that does not reach the header's count is read again, then the turn goes without
)
OPEN_SECONDS = (
    3.0  # to read what a turn begins with, counted from when it is let in: seldom over 0.1
)
MAX_OPENING = 16  # turns of a worker that read at once; a burst of more queues here, and none of it runs out of time
WAIT_SECONDS = 8.0  # a duplicate waits so long for the request that works on its turn
MIN_POLL, MAX_POLL = 0.1, 1.0  # seconds between two looks at the lease, ever longer
LEASE_MARGIN = 2.0  # a lease outlives its turn's deadline by this
WINDOW_SHORT = "window"


class TurnProtocol:
    """Opens and commits turns. Everything durable it does may be done twice."""

    def __init__(
        self,
        sessions: SessionStore,
        transcript: TranscriptStore,
        preferences: PreferenceStore,
        cache: SessionCache,
    ) -> None:
        """Take the stores."""
        self._sessions = sessions
        self._transcript = transcript
        self._preferences = preferences
        self._cache = cache
        self._commits = Commits(sessions, transcript)
        self._let_in = asyncio.Semaphore(MAX_OPENING)

    async def open(self, user: UserId, asked: Asked, now: datetime) -> Opened | Settled:
        """Read what the turn needs and take its lease, or find that it is committed already.

        Raises:
            TurnConflict: the turn id has another body.
            TurnInProgress: another request still works on it after eight seconds.
            SessionErased: the session went away while it was read.
            StoreUnavailable: Cosmos DB did not answer.
        """
        loop = asyncio.get_running_loop()
        answer_by = loop.time() + asked.seconds - 1  # a last look and an answer need a moment
        give_up_at: float | None = None
        while True:
            async with self._let_in, self.holding(user, asked), _bounded():
                read = await self._read(user, asked, now)
                if isinstance(read.cached, LeaseConflict):
                    raise conflict()
                if not isinstance(read.cached, LeaseHeld):
                    return await self._read_window(user, asked, read)
                mine = await self._transcript.read_turn(
                    user, asked.session, read.header.gen, asked.turn_id
                )
            if mine:
                return replay(mine, asked.body_hash)
            give_up_at = give_up_at or min(answer_by, loop.time() + WAIT_SECONDS)
            if loop.time() >= give_up_at:
                raise TurnInProgress(
                    "Another request works on this turn; send it again to collect its answer",
                    retry_after=read.cached.seconds,
                )
            async with self.holding(user, asked):
                await self._wait_for_lease(user, asked, give_up_at)

    async def commit(self, user: UserId, asked: Asked, opened: Opened, draft: Draft) -> Settled:
        """Store the turn with the next free seq after its `saw_seq`, however many others commit meanwhile.

        Tries until it is cancelled: the caller sets the deadline. Twice is harmless: the turn's id decides.

        Raises:
            TurnConflict, SessionErased, StoreUnavailable: as the protocol says; then nothing of this turn is stored.
        """
        with append_span():
            settled = await self._commits.commit(user, opened.header, draft)
        turn = settled.turn
        exact = not settled.replayed and turn.saw_seq == turn.seq - 1
        window = opened.window if opened.cold and exact and not opened.degraded else None
        away = CACHE_AWAY in opened.degraded or not await self._close(user, asked, turn, window)
        short = not settled.replayed and (not exact or WINDOW_SHORT in opened.degraded)
        flags = {CACHE_AWAY: away, WINDOW_SHORT: short}
        return replace(settled, degraded=tuple(flag for flag, holds in flags.items() if holds))

    @asynccontextmanager
    async def holding(self, user: UserId, asked: Asked) -> AsyncIterator[None]:
        """Give the turn's lease back if the block fails, so that a resend need not wait for it."""
        try:
            yield
        except BaseException:
            await self._release(user, asked)
            raise

    async def _read(self, user: UserId, asked: Asked, now: datetime) -> Reading:
        opening = asyncio.create_task(self._open_cached(user, asked))
        try:
            header, stored = await asyncio.gather(
                self._sessions.read_header(user, asked.session), self._preferences.read(user)
            )
        finally:
            cached = await opening  # a lease that is still on its way could not be released
        return Reading(header or await self._begin_session(user, asked, now), stored, cached, now)

    async def _begin_session(self, user: UserId, asked: Asked, now: datetime) -> Header:
        await self._sessions.open_session(user, asked.session, asked.agent_id, now)
        header = await self._sessions.read_header(user, asked.session)
        if header is None:
            raise erased()
        return header

    async def _read_window(self, user: UserId, asked: Asked, read: Reading) -> Opened | Settled:
        cached = read.usable_turns()
        mine = next((turn for turn in cached if turn.turn_id == asked.turn_id), None)
        if mine:
            return replay(mine, asked.body_hash)
        if read.is_exact(cached):
            return read.opened(cached, cold=False)
        if read.header.turn_count == 0:
            return read.opened((), cold=True)
        return await self._read_cold(user, asked, read)

    async def _read_cold(self, user: UserId, asked: Asked, read: Reading) -> Opened | Settled:
        for _ in range(TAIL_READS):
            tail, mine = await asyncio.gather(
                self._transcript.read_tail(user, read.header),
                self._transcript.read_turn(user, asked.session, read.header.gen, asked.turn_id),
            )
            if mine:
                settled = replay(mine, asked.body_hash)
                await self._close(user, asked, mine, None)
                return settled
            window = newest_run(tail, upto=read.header.turn_count)
            if window:
                return read.opened(fit_window(window), cold=True)
            read = replace(read, header=await reread_header(self._sessions, user, read.header))
        opened = read.opened((), cold=True)
        return replace(opened, degraded=(*opened.degraded, WINDOW_SHORT))  # ADR 7

    async def _open_cached(self, user: UserId, asked: Asked) -> OpenedTurn | None:
        request = LeaseRequest(
            asked.turn_id, asked.owner, asked.body_hash, asked.seconds + LEASE_MARGIN
        )
        try:
            return await self._cache.open_turn(user, asked.session, request)
        except CacheUnavailable:
            return None

    async def _wait_for_lease(self, user: UserId, asked: Asked, give_up_at: float) -> None:
        loop, pause = asyncio.get_running_loop(), MIN_POLL
        while loop.time() < give_up_at:
            await asyncio.sleep(min(pause, give_up_at - loop.time()))
            pause = min(MAX_POLL, pause * 1.5)
            async with self._let_in:
                if not isinstance(await self._open_cached(user, asked), LeaseHeld):
                    return

    async def _close(
        self, user: UserId, asked: Asked, turn: Turn, window: Sequence[Turn] | None
    ) -> bool:
        """Whether the cache took it; if not, the next turn is cold."""
        try:
            await self._cache.close_turn(user, turn, asked.owner, window)
        except CacheUnavailable:
            return False
        return True

    async def _release(self, user: UserId, asked: Asked) -> None:
        try:
            await self._cache.release(user, asked.session, asked.turn_id, asked.owner)
        except CacheUnavailable:
            return  # the lease runs out by itself


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    """A store that drags on does not hold a turn for ever."""
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            yield
    except TimeoutError as late:
        raise StoreUnavailable(
            "Cosmos DB is too slow to begin a turn; send the same request again"
        ) from late
