"""The commit of a turn: one batch on a condition, tried with the next number until it fits or the deadline is over."""

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from weakref import WeakValueDictionary

from shared.domain.errors import SessionErased, StoreUnavailable, TurnConflict
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.turns import Header, Turn
from shared.ports.commits import (
    AlreadyThere,
    CommitOutcome,
    Committed,
    Draft,
    HeaderMoved,
    OutcomeUnknown,
)
from shared.ports.sessions import SessionStore
from shared.ports.transcript import TranscriptStore
from shared.telemetry.metrics import count_conflict

MAX_JITTER = 0.25  # seconds between two tries to commit; the request's deadline ends the tries
STORE_SECONDS = 3.0  # everything of a turn that is not the model; here: a batch with its one repeat


@dataclass(frozen=True, slots=True)
class Settled:
    """A turn as it is stored. Replayed: it was stored before, by an earlier or a concurrent send."""

    turn: Turn
    replayed: bool
    degraded: tuple[str, ...] = ()

    def flagged(self, *flags: str) -> Self:
        """The same, with more that it had to do without."""
        return replace(self, degraded=(*self.degraded, *flags))


class Commits:
    """Commits turns in order. Twice is harmless: the turn's id decides."""

    def __init__(self, sessions: SessionStore, transcript: TranscriptStore) -> None:
        """Take the stores; gates of sessions live as long as somebody waits at them."""
        self._sessions = sessions
        self._transcript = transcript
        self._gates: WeakValueDictionary[tuple[UserId, SessionId, Gen], _Gate] = (
            WeakValueDictionary()
        )

    async def commit(self, user: UserId, header: Header, draft: Draft) -> Settled:
        """Store the turn with the next free seq, however many others commit meanwhile.

        Tries until it is cancelled: the caller sets the deadline.

        Raises:
            TurnConflict, SessionErased, StoreUnavailable: as the protocol says; then nothing of this turn is stored.
        """
        drafted = draft.turn
        gate = self._gates.setdefault((user, drafted.session_id, drafted.gen), _Gate())
        async with gate.lock:
            if gate.store_hangs:
                raise _unknown()
            header = (
                gate.newest
                if gate.newest and gate.newest.turn_count > header.turn_count
                else header
            )
            tries = 0
            while True:
                placed = draft.at(header.turn_count + 1)
                expires_at = max(drafted.expires_at, header.expires_at or drafted.expires_at)
                match await self._commit_once(user, placed, expires_at):
                    case Committed():
                        gate.newest = replace(
                            header, turn_count=placed.turn.seq, expires_at=expires_at
                        )
                        return Settled(placed.turn, replayed=False)
                    case AlreadyThere():
                        return await self._find_committed(user, drafted)
                    case OutcomeUnknown():
                        gate.store_hangs = True
                        raise _unknown()
                    case HeaderMoved():
                        count_conflict()
                        header = await reread_header(self._sessions, user, drafted)
                tries += 1
                await asyncio.sleep(random.uniform(0, min(MAX_JITTER, 0.005 * 2**tries)))  # noqa: S311 - jitter

    async def _commit_once(
        self, user: UserId, placed: Draft, expires_at: datetime
    ) -> CommitOutcome:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                outcome = await self._transcript.commit_turn(user, placed, expires_at)
                if isinstance(outcome, OutcomeUnknown):
                    return await self._transcript.commit_turn(user, placed, expires_at)
                return outcome
        except TimeoutError:
            return OutcomeUnknown()

    async def _find_committed(self, user: UserId, turn: Turn) -> Settled:
        mine = await self._transcript.read_turn(user, turn.session_id, turn.gen, turn.turn_id)
        if mine is None:
            raise erased()
        return replay(mine, turn.body_hash)


async def reread_header(sessions: SessionStore, user: UserId, seen: Header | Turn) -> Header:
    """The header as it is now, of the same incarnation as what was seen.

    Raises:
        SessionErased: it is gone, or the session began anew.
    """
    header = await sessions.read_header(user, seen.session_id)
    if header is None or header.gen != seen.gen:
        raise erased()
    return header


def replay(stored: Turn, body_hash: str) -> Settled:
    """The stored turn as the answer to a resend.

    Raises:
        TurnConflict: it was stored for another body.
    """
    if stored.body_hash != body_hash:
        raise conflict()
    return Settled(stored, replayed=True)


def conflict() -> TurnConflict:
    """One turn id is one body."""
    return TurnConflict(
        "This turn_id was sent before with another body; use a new turn_id", target="turn_id"
    )


def _unknown() -> StoreUnavailable:
    return StoreUnavailable(
        "The turn may or may not be stored; send the same request again", retry_after=1
    )


def erased() -> SessionErased:
    """The session of this turn is no more."""
    return SessionErased(
        "The session was erased meanwhile and nothing is stored; send again to begin a new one"
    )


class _Gate:
    """Lets commits of one session pass one by one, and knows the header as the last of them left it.

    Courtesy only: the condition of the batch decides, also between processes. When the store hangs for one, those who
    wait behind it are told at once, instead of finding out one after the other.
    """

    __slots__ = ("__weakref__", "lock", "newest", "store_hangs")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.newest: Header | None = None
        self.store_hangs = False
