"""The turn protocol: what a turn may read before it asks, and the one way in which it is stored.

docs/turn-protocol.md is the specification, model-checked; names here follow it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import uuid4
from weakref import WeakValueDictionary

from shared.domain.errors import SessionErased, StoreUnavailable, TurnConflict, TurnInProgress
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.preferences import Preferences
from shared.domain.turns import Header, Turn, fit_window, newest_run
from shared.ports import (
    AlreadyThere,
    CachedSession,
    CacheUnavailable,
    CommitOutcome,
    Committed,
    HeaderMoved,
    LeaseConflict,
    LeaseHeld,
    LeaseRequest,
    OpenedTurn,
    OutcomeUnknown,
    PreferenceStore,
    SessionCache,
    SessionStore,
    StoredPreferences,
    TranscriptStore,
)
from shared.telemetry.signals import append_span, count_conflict

TAIL_READS = 3  # a tail that does not reach the header's count is read again, then the store is at fault
MAX_JITTER = 0.25  # seconds between two tries to commit; the request's deadline ends the tries
WAIT_SECONDS = 8.0  # a duplicate waits so long for the request that works on its turn
POLL_SECONDS = 0.1
LEASE_MARGIN = 2.0  # a lease outlives its turn's deadline by this
CACHE_AWAY = "session_cache"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which turn of which session is asked for, what makes a resend the same, and who asks, until when."""

    session: SessionId
    turn_id: TurnId
    body_hash: str
    seconds: float
    agent_id: str | None = None
    owner: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class Opened:
    """A turn that is not committed yet: the header it saw, the window that fits it, the user's preferences.

    A cold turn read its window from Cosmos DB, and gives it to the cache when it is committed.
    """

    header: Header
    window: Sequence[Turn]
    cold: bool
    preferences: Preferences
    preferences_expire_at: datetime | None
    degraded: Sequence[str]


@dataclass(frozen=True, slots=True)
class Settled:
    """A turn as it is stored. Replayed: it was stored before, by an earlier or a concurrent send."""

    turn: Turn
    replayed: bool
    degraded: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    """The answers to the three reads that every turn begins with."""

    header: Header
    preferences: StoredPreferences
    cached: OpenedTurn | None  # None: the cache is away


class TurnProtocol:
    """Opens and commits turns. Everything durable it does may be done twice."""

    def __init__(
        self, sessions: SessionStore, transcript: TranscriptStore, preferences: PreferenceStore, cache: SessionCache
    ) -> None:
        """Take the stores; locks of sessions live as long as somebody waits for them."""
        self._sessions = sessions
        self._transcript = transcript
        self._preferences = preferences
        self._cache = cache
        self._gates: WeakValueDictionary[tuple[UserId, SessionId, Gen], _Gate] = WeakValueDictionary()

    async def open(self, user: UserId, asked: Asked, now: datetime) -> Opened | Settled:
        """Read what the turn needs and take its lease, or find that it is committed already.

        Raises:
            TurnConflict: the turn id has another body.
            TurnInProgress: another request still works on it after eight seconds.
            SessionErased: the session went away while it was read.
            StoreUnavailable: Cosmos DB did not answer.
        """
        give_up_at = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            read = await self._read(user, asked, now)
            if isinstance(read.cached, LeaseConflict):
                raise _conflict()
            if not isinstance(read.cached, LeaseHeld):
                return await self._read_window(user, asked, read, now)
            mine = await self._transcript.read_turn(user, asked.session, read.header.gen, asked.turn_id)
            if mine:
                return _replay(mine, asked.body_hash)
            if asyncio.get_running_loop().time() >= give_up_at:
                raise TurnInProgress(
                    "Another request works on this turn; send it again to collect its answer",
                    retry_after=read.cached.seconds,
                )
            await self._wait_for_lease(user, asked, give_up_at)

    async def commit(self, user: UserId, asked: Asked, opened: Opened, draft: Turn, due_at: datetime | None) -> Settled:
        """Store the turn with the next free seq after `draft.saw_seq`, however many others commit meanwhile.

        Tries until it is cancelled: the caller sets the deadline. Twice is harmless: the turn's id decides.

        Raises:
            TurnConflict, SessionErased, StoreUnavailable: as the protocol says; then nothing of this turn is stored.
        """
        with append_span():
            settled = await self._commit_in_order(user, draft, due_at)
        turn = settled.turn
        exact = not settled.replayed and turn.saw_seq == turn.seq - 1
        window = opened.window if opened.cold and exact and not opened.degraded else None
        closed = opened.degraded or await self._close(user, asked, turn, window)
        missed = () if settled.replayed or exact else ("window",)
        return replace(settled, degraded=(*closed, *missed))

    @asynccontextmanager
    async def holding(self, user: UserId, asked: Asked) -> AsyncIterator[None]:
        """Give the turn's lease back if the block fails, so that a resend need not wait for it."""
        try:
            yield
        except BaseException:
            await self._release(user, asked)
            raise

    async def _read(self, user: UserId, asked: Asked, now: datetime) -> _Read:
        async with self.holding(user, asked):
            opening = asyncio.create_task(self._open_cached(user, asked))
            try:
                header, stored = await asyncio.gather(
                    self._sessions.read_header(user, asked.session), self._preferences.read(user)
                )
            finally:
                cached = await opening  # a lease that is still on its way could not be released
            return _Read(header or await self._begin_session(user, asked, now), stored, cached)

    async def _begin_session(self, user: UserId, asked: Asked, now: datetime) -> Header:
        await self._sessions.open_session(user, asked.session, asked.agent_id, now)
        header = await self._sessions.read_header(user, asked.session)
        if header is None:
            raise _erased()
        return header

    async def _read_window(self, user: UserId, asked: Asked, read: _Read, now: datetime) -> Opened | Settled:
        async with self.holding(user, asked):
            header = read.header
            cached = _usable(read.cached, header, now)
            mine = next((turn for turn in cached if turn.turn_id == asked.turn_id), None)
            if mine:
                return _replay(mine, asked.body_hash)
            if _is_exact(read.cached, cached, header):
                return _opened(read, header, cached, cold=False)
            if header.turn_count == 0:
                return _opened(read, header, (), cold=True)
            return await self._read_cold(user, asked, read)

    async def _read_cold(self, user: UserId, asked: Asked, read: _Read) -> Opened | Settled:
        header = read.header
        for _ in range(TAIL_READS):
            tail, mine = await asyncio.gather(
                self._transcript.read_tail(user, header),
                self._transcript.read_turn(user, asked.session, header.gen, asked.turn_id),
            )
            if mine:
                settled = _replay(mine, asked.body_hash)
                await self._close(user, asked, mine, None)
                return settled
            window = newest_run(tail, upto=header.turn_count)
            if window:
                return _opened(read, header, fit_window(window), cold=True)
            header = await self._reread(user, header)
        raise StoreUnavailable("The transcript could not be read whole; send the same request again", retry_after=1)

    async def _open_cached(self, user: UserId, asked: Asked) -> OpenedTurn | None:
        request = LeaseRequest(asked.turn_id, asked.owner, asked.body_hash, asked.seconds + LEASE_MARGIN)
        try:
            return await self._cache.open_turn(user, asked.session, request)
        except CacheUnavailable:
            return None

    async def _wait_for_lease(self, user: UserId, asked: Asked, give_up_at: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < give_up_at:
            await asyncio.sleep(POLL_SECONDS)
            if not isinstance(await self._open_cached(user, asked), LeaseHeld):
                return

    async def _close(self, user: UserId, asked: Asked, turn: Turn, window: Sequence[Turn] | None) -> Sequence[str]:
        try:
            await self._cache.close_turn(user, turn, asked.owner, window)
        except CacheUnavailable:
            return (CACHE_AWAY,)
        return ()

    async def _release(self, user: UserId, asked: Asked) -> None:
        try:
            await self._cache.release(user, asked.session, asked.turn_id, asked.owner)
        except CacheUnavailable:
            return  # the lease runs out by itself

    async def _commit_in_order(self, user: UserId, draft: Turn, due_at: datetime | None) -> Settled:
        gate = self._gates.setdefault((user, draft.session_id, draft.gen), _Gate())
        async with gate.lock:
            count = max(draft.saw_seq, gate.count)
            tries = 0
            while True:
                turn = replace(draft, seq=count + 1)
                match await self._commit_once(user, turn, due_at):
                    case Committed():
                        gate.count = turn.seq
                        return Settled(turn, replayed=False)
                    case AlreadyThere():
                        return await self._find_committed(user, turn)
                    case OutcomeUnknown():
                        raise StoreUnavailable("The turn may or may not be stored; send the same request again")
                    case HeaderMoved():
                        count_conflict()
                        count = (await self._reread(user, draft)).turn_count
                tries += 1
                await asyncio.sleep(random.uniform(0, min(MAX_JITTER, 0.005 * 2**tries)))  # noqa: S311 - jitter

    async def _commit_once(self, user: UserId, turn: Turn, due_at: datetime | None) -> CommitOutcome:
        outcome = await self._transcript.commit_turn(user, turn, due_at)
        if isinstance(outcome, OutcomeUnknown):
            return await self._transcript.commit_turn(user, turn, due_at)
        return outcome

    async def _find_committed(self, user: UserId, turn: Turn) -> Settled:
        mine = await self._transcript.read_turn(user, turn.session_id, turn.gen, turn.turn_id)
        if mine is None:
            raise _erased()
        return _replay(mine, turn.body_hash)

    async def _reread(self, user: UserId, seen: Header | Turn) -> Header:
        header = await self._sessions.read_header(user, seen.session_id)
        if header is None or header.gen != seen.gen:
            raise _erased()
        return header


class _Gate:
    """Lets commits of one session pass one by one; `count` is the newest seq committed through it.

    Courtesy only: the condition of the batch decides, also between processes.
    """

    __slots__ = ("__weakref__", "count", "lock")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0


def _usable(cached: OpenedTurn | None, header: Header, now: datetime) -> Sequence[Turn]:
    """Cached turns of the header's incarnation that have not expired; of a stale or empty cache none."""
    if not isinstance(cached, CachedSession) or cached.gen != header.gen:
        return ()
    return tuple(turn for turn in cached.turns if turn.expires_at > now)


def _is_exact(cached: OpenedTurn | None, turns: Sequence[Turn], header: Header) -> bool:
    """Whether these turns are, without a gap, the newest of the transcript as the header counts it."""
    counted = isinstance(cached, CachedSession) and cached.count == header.turn_count
    return counted and 0 < len(turns) == len(newest_run(turns, upto=header.turn_count))


def _opened(read: _Read, header: Header, window: Sequence[Turn], *, cold: bool) -> Opened:
    """What was read, without preferences from before an erase."""
    stored = read.preferences
    fresh = stored.epoch == header.epoch
    return Opened(
        header=header,
        window=window,
        cold=cold,
        preferences=stored.preferences if fresh else Preferences(),
        preferences_expire_at=stored.expires_at if fresh else None,
        degraded=() if read.cached else (CACHE_AWAY,),
    )


def _replay(stored: Turn, body_hash: str) -> Settled:
    if stored.body_hash != body_hash:
        raise _conflict()
    return Settled(stored, replayed=True)


def _conflict() -> TurnConflict:
    return TurnConflict("This turn_id was sent before with another body; use a new turn_id", target="turn_id")


def _erased() -> SessionErased:
    return SessionErased("The session was erased meanwhile and nothing is stored; send again to begin a new one")
