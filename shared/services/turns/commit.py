"""How a turn is committed: one conditional batch, repeated until it applies."""

import asyncio
import random
from collections.abc import Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NoReturn

from shared.domain.deadlines import Deadlines
from shared.domain.errors import Busy, KeepsakeError, StoreUnavailable
from shared.domain.sessions import Header
from shared.domain.spending import NOTHING
from shared.ports.sessions import SessionStore
from shared.ports.turns import (
    AlreadyThere,
    Committed,
    Draft,
    HeaderMoved,
    OutcomeUnknown,
    Throttled,
    TurnStore,
)
from shared.services.optimistic import OptimisticWriter, Pause, until_it_applies
from shared.services.turns.admission import Gate
from shared.services.turns.attempt import CACHE_UNAVAILABLE, WINDOW_INCOMPLETE, TurnAttempt
from shared.services.turns.lease import Leases
from shared.services.turns.stored_turn import StoredTurn, erased, replay, reread_header
from shared.services.turns.throttle import Throttle
from shared.telemetry.meter import current_meter
from shared.telemetry.metrics import count_conflict
from shared.telemetry.spans import append_span

MAX_PAUSE = 2.0  # seconds between two tries, unless the store asks for more
MAX_COMMITTED = 1000  # sessions whose newest commit a worker remembers


class TurnCommit:
    """Commits turns in order. Idempotent: the turn's id decides."""

    def __init__(
        self,
        sessions: SessionStore,
        turns: TurnStore,
        leases: Leases,
        work: Gate,
        writer: OptimisticWriter,
        deadlines: Deadlines,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._leases = leases
        self._work = work
        self._writer = writer
        self._deadlines = deadlines
        self._throttle = Throttle()
        self._committed: dict[Hashable, Header] = {}

    async def commit(self, attempt: TurnAttempt, draft: Draft) -> StoredTurn:
        """Store the turn with the next free seq, however many others commit meanwhile.

        Tries until shortly before the turn's deadline: the reply is paid for. Then it looks once
        more whether a try without a response was applied.

        Raises:
            TurnConflict, SessionErased, StoreFull: nothing of this turn is stored.
            StoreUnavailable, Busy: it may be stored; a resend finds out.
        """
        commit = _Commit(attempt, draft, attempt.snapshot.header)

        with append_span():
            try:
                async with asyncio.timeout(attempt.seconds_left - self._deadlines.last_look):
                    stored = await self._writer.write_until_cancelled(
                        commit.key, partial(self._try, commit)
                    )
            except TimeoutError:
                stored = await self._look(commit)
        await self._close(attempt, stored)
        return stored

    async def _try(self, commit: "_Commit") -> StoredTurn | Pause:
        """Commit, or ask for a pause because the store cannot take it now."""
        if seconds := self._throttle.seconds(commit.attempt.request.user):
            commit.failure = _throttled(seconds)
            return Pause(seconds)
        try:
            # What is paid for is finished first.
            async with self._work.entered(commit.attempt.request.user, urgent=True):
                return await until_it_applies(partial(self._write, commit))
        except (StoreUnavailable, Busy) as failed:  # of a read: it says nothing about the batch
            commit.failure = failed
            return commit.pause(failed.retry_after if isinstance(failed, Busy) else None)

    async def _write(self, commit: "_Commit") -> StoredTurn | Pause | None:
        """Send the batch once; None if another turn was faster."""
        user = commit.attempt.request.user
        known = self._committed.pop(commit.key, commit.header)
        commit.header = max(commit.header, known, key=_turn_count)
        draft = commit.draft.after(commit.header)
        match await self._turns.commit_turn(user, draft):
            case Committed():
                self._remember(commit.key, draft.advance(commit.header))
                return StoredTurn(draft.turn, replayed=False)
            case AlreadyThere():
                return await self._find(commit) or _raise_erased()
            case HeaderMoved():
                count_conflict()
                commit.header = await reread_header(self._sessions, user, draft.turn)
                self._remember(commit.key, commit.header)
                return None
            case Throttled(seconds):
                self._throttle.note(user, seconds)
                commit.failure = _throttled(seconds)
                return commit.pause(seconds)
            case OutcomeUnknown():
                commit.failure = _unknown()
                return await self._find(commit) or commit.pause()

    async def _find(self, commit: "_Commit") -> StoredTurn | None:
        """The turn as it is stored by now; not a replay if this request committed it."""
        turn, attempt = commit.draft.turn, commit.attempt
        user = attempt.request.user
        own = await self._turns.read_turn(user, turn.session_id, turn.gen, turn.turn_id)
        if own is None:
            return None
        if own.attempt == attempt.owner:
            current_meter().confirm()
            return StoredTurn(own, replayed=False)
        current_meter().unconfirmed = NOTHING  # the other request's was applied
        return replay(own, turn.body_hash)

    async def _look(self, commit: "_Commit") -> StoredTurn:
        """Look whether the turn is stored after all; raise what was in the way if it is not."""
        with suppress(StoreUnavailable, Busy, TimeoutError):
            async with asyncio.timeout(self._deadlines.last_look / 2):
                if stored := await self._find(commit):
                    return stored
        raise commit.failure

    def _remember(self, key: Hashable, header: Header) -> None:
        """Let the session's next commit from this worker start here, however old what it read is.

        It is used once, so a store that lost commits in a failover is asked again.
        """
        self._committed[key] = header
        if len(self._committed) > MAX_COMMITTED:
            del self._committed[next(iter(self._committed))]

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


def _throttled(seconds: float) -> Busy:
    return Busy(
        "Cosmos DB has no request units left; send the same request again", retry_after=seconds
    )


def _late() -> Busy:
    return Busy(
        "Too many turns of this session are being stored; send the same request again",
        retry_after=1,
    )


def _unknown() -> StoreUnavailable:
    return StoreUnavailable(
        "The turn may or may not be stored; send the same request again", retry_after=1
    )


@dataclass(slots=True)
class _Commit:
    """A commit in progress: the header to commit after, and what was in the way last."""

    attempt: TurnAttempt
    draft: Draft
    header: Header
    failures: int = 0
    failure: KeepsakeError = field(default_factory=_late)

    @property
    def key(self) -> Hashable:
        """Commits with the same key take turns in this worker."""
        turn = self.draft.turn
        return "turns", self.attempt.request.user, turn.session_id, turn.gen

    def pause(self, hint: float | None = None) -> Pause:
        """A pause after a failure, longer each time, but no shorter than the store's hint."""
        self.failures += 1
        seconds = min(MAX_PAUSE, 0.1 * 2**self.failures) * random.uniform(0.5, 1)  # noqa: S311
        return Pause(max(hint or 0, seconds))


def _turn_count(header: Header) -> int:
    return header.turn_count


def _raise_erased() -> NoReturn:
    raise erased()
