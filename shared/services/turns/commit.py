"""How a turn is committed: one conditional batch, repeated until it applies."""

import asyncio
from collections.abc import Hashable
from weakref import WeakValueDictionary

from shared.domain.errors import StoreUnavailable
from shared.domain.ids import UserId
from shared.domain.sessions import Header
from shared.ports.sessions import SessionStore
from shared.ports.turns import (
    AlreadyThere,
    CommitOutcome,
    Committed,
    Draft,
    HeaderMoved,
    OutcomeUnknown,
    TurnStore,
)
from shared.services.optimistic import OptimisticWriter
from shared.services.turns.attempt import CACHE_UNAVAILABLE, WINDOW_INCOMPLETE, TurnAttempt
from shared.services.turns.lease import Leases
from shared.services.turns.stored_turn import StoredTurn, erased, replay, reread_header
from shared.telemetry.metrics import count_conflict
from shared.telemetry.spans import append_span

MAX_COMMITTED = 1000  # sessions whose newest commit a worker remembers


class TurnCommit:
    """Commits turns in order. Idempotent: the turn's id decides."""

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        leases: Leases,
        writer: OptimisticWriter,
        seconds: float,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._leases = leases
        self._writer = writer
        self._seconds = seconds
        self._lines: WeakValueDictionary[Hashable, _Line] = WeakValueDictionary()
        self._committed: dict[Hashable, Header] = {}

    async def commit(self, attempt: TurnAttempt, draft: Draft) -> StoredTurn:
        """Store the turn with the next free seq, however many others commit meanwhile.

        Retries until it is cancelled: the caller sets the deadline.

        Raises:
            TurnConflict, SessionErased, StoreUnavailable: nothing of this turn is stored.
        """
        key = ("turns", attempt.request.user, draft.turn.session_id, draft.turn.gen)
        line = self._lines.setdefault(key, _Line(key))
        header = attempt.snapshot.header

        async def commit() -> StoredTurn | None:
            nonlocal header
            header = max(header, self._committed.pop(key, header), key=_turn_count)
            outcome = await self._commit_after(header, attempt, draft.after(header), line)
            if isinstance(outcome, Header):
                header = outcome
                return None
            return outcome

        with append_span():
            stored = await self._writer.write_until_cancelled(key, commit)
        await self._close(attempt, stored)
        return stored

    async def _commit_after(
        self, header: Header, attempt: TurnAttempt, draft: Draft, line: "_Line"
    ) -> StoredTurn | Header:
        """Commit after this header; the header as it is now if another turn was faster."""
        user, turn = attempt.request.user, draft.turn
        match await self._write(user, draft, line):
            case Committed():
                self._remember(line.key, draft.advance(header))
                return StoredTurn(turn, replayed=False)
            case AlreadyThere():
                own = await self._turns.read_turn(user, turn.session_id, turn.gen, turn.turn_id)
                if own is None:
                    raise erased()
                return replay(own, turn.body_hash)
            case HeaderMoved():
                count_conflict()
                return await reread_header(self._sessions, user, turn)
            case OutcomeUnknown():
                line.store_hangs = True
                raise _unknown()

    def _remember(self, key: Hashable, header: Header) -> None:
        """Let the session's next commit from this worker start here, however old what it read is.

        It is used once, so a store that lost commits in a failover is asked again.
        """
        self._committed[key] = header
        if len(self._committed) > MAX_COMMITTED:
            del self._committed[next(iter(self._committed))]

    async def _write(self, user: UserId, draft: Draft, line: "_Line") -> CommitOutcome:
        """Send the batch, and once more if no answer came."""
        if line.store_hangs:
            return OutcomeUnknown()
        try:
            async with asyncio.timeout(self._seconds):
                outcome = await self._turns.commit_turn(user, draft)
                if isinstance(outcome, OutcomeUnknown):
                    return await self._turns.commit_turn(user, draft)
                return outcome
        except TimeoutError:
            return OutcomeUnknown()

    async def _close(self, attempt: TurnAttempt, stored: StoredTurn) -> None:
        """Hand the turn to the cache, and note what the answer has to be flagged with."""
        turn, snapshot = stored.turn, attempt.snapshot
        exact = not stored.replayed and turn.saw_seq == turn.seq - 1
        whole = exact and not attempt.degraded
        window = snapshot.window if snapshot.cold and whole else None
        had_cache = CACHE_UNAVAILABLE not in attempt.degraded
        if not had_cache or not await self._leases.close(attempt, turn, window):
            attempt.degraded.add(CACHE_UNAVAILABLE)
        if stored.replayed:
            attempt.degraded.discard(WINDOW_INCOMPLETE)
        elif not exact:
            attempt.degraded.add(WINDOW_INCOMPLETE)


class _Line:
    """Those who wait to commit to one session.

    If the store hangs for one, those behind it fail at once, instead of finding out one after the
    other.
    """

    __slots__ = ("__weakref__", "key", "store_hangs")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.store_hangs = False


def _turn_count(header: Header) -> int:
    return header.turn_count


def _unknown() -> StoreUnavailable:
    return StoreUnavailable(
        "The turn may or may not be stored; send the same request again", retry_after=1
    )
