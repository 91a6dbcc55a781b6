"""Sessions as their user sees them: listed, read, renamed, forgotten."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from shared.domain.errors import Conflict, NotFound, PreconditionFailed, StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.sessions import SessionPatch, session_etag
from shared.domain.turns import Header, Turn
from shared.ports.cache import CacheUnavailable, SessionCache
from shared.ports.clock import Clock
from shared.ports.commits import Committed
from shared.ports.graves import Grave, SessionGraves
from shared.ports.sessions import HeaderChange, HeaderCursor, SessionStore
from shared.ports.transcript import TranscriptStore
from shared.ports.users import UserStore
from shared.services.last_times import LastTimes
from shared.telemetry import log_failure

GRAVE_REST = timedelta(minutes=5)  # longer than any request or late message of the gen can live (182 s)
WRITE_TRIES = 5
DUE_AT_A_TIME = 8  # sweeps running side by side in one timer run


class Sessions:
    """What a user may do with sessions; all of it is confined to the user's own partition."""

    def __init__(
        self,
        store: SessionStore,
        graves: SessionGraves,
        transcript: TranscriptStore,
        users: UserStore,
        cache: SessionCache,
        last_times: LastTimes,
        clock: Clock,
        retention: timedelta,
    ) -> None:
        """Take the ports and how long turns are kept."""
        self._store = store
        self._graves = graves
        self._transcript = transcript
        self._users = users
        self._cache = cache
        self._last_times = last_times
        self._clock = clock
        self._retention = retention

    async def list(self, user: UserId, after: HeaderCursor | None, limit: int) -> Sequence[Header]:
        """Sessions with turns, newest first; none from before the user was erased."""
        epoch, headers = await asyncio.gather(
            self._users.read_epoch(user), self._store.list_headers(user, after, limit)
        )
        return [header for header in headers if header.epoch >= epoch]

    async def read(self, user: UserId, session: SessionId) -> Header:
        """The header of a session with turns.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self._store.read_header(user, session)
        if header is None or header.turn_count == 0:
            raise _missing()
        return header

    async def list_turns(
        self, user: UserId, session: SessionId, after_seq: int, limit: int
    ) -> tuple[Sequence[Turn], bool]:
        """Turns with a greater seq, in order, and whether there are more; a page ends early at about 1 MB.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self.read(user, session)
        turns = await self._transcript.list_turns(user, session, header.gen, after_seq, limit)
        return turns, bool(turns) and turns[-1].seq < header.turn_count

    async def update(self, user: UserId, session: SessionId, patch: SessionPatch, if_match: str | None) -> Header:
        """Apply a merge patch to title, strategy and time to live. Twice is harmless: the same values are set.

        Raises:
            NotFound, PreconditionFailed; Conflict after five lost races.
        """
        for _ in range(WRITE_TRIES):
            header = await self.read(user, session)
            _check_etag(header, if_match)
            changed = patch.apply(header)
            change = HeaderChange(changed.title, changed.strategy, changed.ttl_seconds)
            if written := await self._store.change_header(user, header, change):
                await self._shorten(user, written)
                return written
        raise Conflict("Others kept changing this session; read it and try again", retry_after=1)

    async def delete(self, user: UserId, session: SessionId, if_match: str | None = None) -> None:
        """Forget a session: its header at once, its turns before this returns, what arrives late by the timer.

        Twice is harmless, and finishes what a first call left undone.

        Raises:
            PreconditionFailed: If-Match does not fit.
            StoreUnavailable: not everything is gone yet; send again, or leave it to the timer.
        """
        header = await self._store.read_header(user, session)
        if header is None:
            for grave in await self._graves.list_graves(user, session):
                await self._sweep(user, grave.gen)
        else:
            _check_etag(header, if_match)
            await self._bury(user, header, if_match)
            await self._sweep(user, header.gen)
        await self._forget_cached(user, session)

    async def sweep_due(self) -> int:
        """Sweep the graves that are due once more and close them; how many it was. Twice is harmless."""
        due = await self._graves.find_due(self._clock.now())
        turnstile = asyncio.Semaphore(DUE_AT_A_TIME)
        closing = (self._close(grave, turnstile) for grave in due)
        failed = [one for one in await asyncio.gather(*closing, return_exceptions=True) if one is not None]
        for error in failed:
            log_failure("grave_not_swept", error)  # it stays due: the next run tries again
        return len(due) - len(failed)

    async def _shorten(self, user: UserId, header: Header) -> None:
        """A shorter time to live holds for what was said already, too; a longer one for what is said from now on."""
        if header.ttl_seconds and header.expires_at:
            end = header.last_active_at + timedelta(seconds=header.ttl_seconds)
            if end < header.expires_at:
                await self._store.shorten(user, header, end)

    async def _bury(self, user: UserId, header: Header, if_match: str | None) -> None:
        for _ in range(WRITE_TRIES):
            outcome = await self._graves.bury(user, header, self._clock.now() + GRAVE_REST)
            if isinstance(outcome, Committed):
                return
            again = await self._store.read_header(user, header.session_id)
            if again is None or again.gen != header.gen:
                return
            _check_etag(again, if_match)
            header = again
        raise StoreUnavailable("The session is written to faster than it can be deleted; send again", retry_after=1)

    async def _close(self, grave: Grave, turnstile: asyncio.Semaphore) -> None:
        async with turnstile:
            await self._sweep(grave.user, grave.gen)
            await self._forget_cached(grave.user, grave.session)
            await self._graves.close(grave)

    async def _sweep(self, user: UserId, gen: Gen) -> None:
        """Delete what is left of an incarnation, and what other sessions were told of it."""
        await self._graves.sweep(user, gen)
        await self._last_times.take_back(user, gen)

    async def _forget_cached(self, user: UserId, session: SessionId) -> None:
        try:
            await self._cache.forget(user, session)
        except CacheUnavailable as away:
            raise StoreUnavailable("A copy in the session cache cannot be reached yet; send again") from away


def _check_etag(header: Header, if_match: str | None) -> None:
    if if_match not in {None, "*", session_etag(header)}:
        raise PreconditionFailed("The session has changed; read it again", target="If-Match")


def _missing() -> NotFound:
    return NotFound("There is no such session", target="session_id")
