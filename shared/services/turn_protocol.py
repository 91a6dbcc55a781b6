"""The turn protocol: what a turn may read before it asks, and the one way in which it is stored.

docs/turn-protocol.md is the specification, model-checked; names here follow it.
"""

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import datetime
from weakref import WeakValueDictionary

from shared.domain.errors import SessionErased, StoreUnavailable, TurnConflict
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.preferences import Preferences
from shared.domain.turns import Header, Turn, fit_window, newest_run
from shared.ports import (
    AlreadyThere,
    CommitOutcome,
    Committed,
    HeaderMoved,
    OutcomeUnknown,
    PreferenceStore,
    SessionStore,
    StoredPreferences,
    TranscriptStore,
)

TAIL_READS = 3  # a tail that does not reach the header's count is read again, then the store is at fault
MAX_JITTER = 0.25  # seconds between two tries to commit; the request's deadline ends the tries


@dataclass(frozen=True, slots=True)
class Asked:
    """Which turn of which session is asked for, and what makes a resend the same."""

    session: SessionId
    turn_id: TurnId
    body_hash: str
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A turn that is not committed yet: the header it saw, the window that fits it, the user's preferences."""

    header: Header
    window: tuple[Turn, ...]
    preferences: Preferences
    preferences_expire_at: datetime | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A turn as it is stored. Replayed: it was stored before, by an earlier or a concurrent send."""

    turn: Turn
    replayed: bool


class TurnProtocol:
    """Opens and commits turns. Everything durable it does may be done twice."""

    def __init__(self, sessions: SessionStore, transcript: TranscriptStore, preferences: PreferenceStore) -> None:
        """Take the stores; locks of sessions live as long as somebody waits for them."""
        self._sessions = sessions
        self._transcript = transcript
        self._preferences = preferences
        self._gates: WeakValueDictionary[tuple[UserId, SessionId, Gen], _Gate] = WeakValueDictionary()

    async def open(self, user: UserId, asked: Asked, now: datetime) -> Opened | Settled:
        """Read what the turn needs, or find that it is committed already.

        Raises:
            TurnConflict: the turn id has another body.
            SessionErased: the session went away while it was read.
            StoreUnavailable: Cosmos DB did not answer.
        """
        header, stored = await asyncio.gather(
            self._sessions.read_header(user, asked.session), self._preferences.read(user)
        )
        if header is None:
            await self._sessions.open_session(user, asked.session, asked.agent_id, now)
            header = await self._sessions.read_header(user, asked.session)
        if header is None:
            raise _erased()
        return await self._read_window(user, asked, header, stored)

    async def commit(self, user: UserId, draft: Turn, due_at: datetime | None) -> Settled:
        """Store the turn with the next free seq after `draft.saw_seq`, however many others commit meanwhile.

        Tries until it is cancelled: the caller sets the deadline. Twice is harmless: the turn's id decides.

        Raises:
            TurnConflict, SessionErased, StoreUnavailable: as the protocol says; then nothing of this turn is stored.
        """
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
                        count = await self._read_count(user, draft)
                tries += 1
                await asyncio.sleep(random.uniform(0, min(MAX_JITTER, 0.005 * 2**tries)))  # noqa: S311 - jitter

    async def _read_window(
        self, user: UserId, asked: Asked, header: Header, stored: StoredPreferences
    ) -> Opened | Settled:
        fresh = stored if stored.epoch == header.epoch else None
        preferences = fresh.preferences if fresh else Preferences()
        expire_at = fresh.expires_at if fresh else None
        for _ in range(TAIL_READS):
            if header.turn_count == 0:
                return Opened(header, (), preferences, expire_at)
            tail, mine = await asyncio.gather(
                self._transcript.read_tail(user, header),
                self._transcript.read_turn(user, asked.session, header.gen, asked.turn_id),
            )
            if mine:
                return _replay(mine, asked.body_hash)
            window = newest_run(tail, upto=header.turn_count)
            if window:
                return Opened(header, fit_window(window), preferences, expire_at)
            header = await self._reread(user, header)
        raise StoreUnavailable("The transcript could not be read whole; send the same request again", retry_after=1)

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

    async def _read_count(self, user: UserId, draft: Turn) -> int:
        header = await self._sessions.read_header(user, draft.session_id)
        if header is None or header.gen != draft.gen:
            raise _erased()
        return header.turn_count

    async def _reread(self, user: UserId, header: Header) -> Header:
        again = await self._sessions.read_header(user, header.session_id)
        if again is None or again.gen != header.gen:
            raise _erased()
        return again


class _Gate:
    """Lets commits of one session pass one by one; `count` is the newest seq committed through it.

    Courtesy only: the condition of the batch decides, also between processes.
    """

    __slots__ = ("__weakref__", "count", "lock")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.count = 0


def _replay(stored: Turn, body_hash: str) -> Settled:
    if stored.body_hash != body_hash:
        raise TurnConflict("This turn_id was sent before with another body; use a new turn_id", target="turn_id")
    return Settled(stored, replayed=True)


def _erased() -> SessionErased:
    return SessionErased("The session was erased meanwhile and nothing is stored; send again to begin a new one")
