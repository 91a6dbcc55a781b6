"""Deletions: sessions on their way out, at once for their user and for good a little later."""

import asyncio
from datetime import timedelta

from shared.domain.errors import StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.sessions import check_etag
from shared.domain.turns import Header
from shared.ports.cache import CacheUnavailable, SessionCache
from shared.ports.clock import Clock
from shared.ports.commits import Committed
from shared.ports.graves import Grave, SessionGraves
from shared.ports.sessions import SessionStore
from shared.services.last_times import LastTimes
from shared.telemetry import log_failure, names
from shared.telemetry.spans import memory_span

GRAVE_REST = timedelta(
    minutes=5
)  # longer than any request or late message of the gen can live (182 s)
WRITE_TRIES = 5
DUE_AT_A_TIME = 8  # sweeps running side by side in one timer run


class Deletions:
    """Deletes sessions: what a user asks for, and what is left of it for the timer."""

    def __init__(
        self,
        sessions: SessionStore,
        graves: SessionGraves,
        cache: SessionCache,
        last_times: LastTimes,
        clock: Clock,
    ) -> None:
        """Take the stores that have something of a session."""
        self._sessions = sessions
        self._graves = graves
        self._cache = cache
        self._last_times = last_times
        self._clock = clock

    async def delete(self, user: UserId, session: SessionId, if_match: str | None = None) -> None:
        """Forget a session: its header at once, its turns before this returns, what arrives late by the timer.

        Twice is harmless, and finishes what a first call left undone.

        Raises:
            PreconditionFailed: If-Match does not fit.
            StoreUnavailable: not everything is gone yet; send again, or leave it to the timer.
        """
        with memory_span(names.DELETE_MEMORY):
            await self._delete(user, session, if_match)

    async def sweep_due(self) -> int:
        """Sweep the graves that are due once more and close them; how many it was. Twice is harmless."""
        due = await self._graves.find_due(self._clock.now())
        turnstile = asyncio.Semaphore(DUE_AT_A_TIME)
        closing = (self._close(grave, turnstile) for grave in due)
        failed = [
            one for one in await asyncio.gather(*closing, return_exceptions=True) if one is not None
        ]
        for error in failed:
            log_failure("grave_not_swept", error)  # it stays due: the next run tries again
        return len(due) - len(failed)

    async def _delete(self, user: UserId, session: SessionId, if_match: str | None) -> None:
        header = await self._sessions.read_header(user, session)
        if header is None:
            for grave in await self._graves.list_graves(user, session):
                await self._sweep(user, grave.gen)
        else:
            check_etag(header, if_match)
            await self._bury(user, header, if_match)
            await self._sweep(user, header.gen)
        await self._forget_cached(user, session)

    async def _bury(self, user: UserId, header: Header, if_match: str | None) -> None:
        for _ in range(WRITE_TRIES):
            outcome = await self._graves.bury(user, header, self._clock.now() + GRAVE_REST)
            if isinstance(outcome, Committed):
                return
            again = await self._sessions.read_header(user, header.session_id)
            if again is None or again.gen != header.gen:
                return
            check_etag(again, if_match)
            header = again
        raise StoreUnavailable(
            "The session is written to faster than it can be deleted; send again", retry_after=1
        )

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
            raise StoreUnavailable(
                "A copy in the session cache cannot be reached yet; send again"
            ) from away
