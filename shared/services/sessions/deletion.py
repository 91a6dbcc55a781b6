"""Deletion of sessions: at once for their user, and completed a little later."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.errors import StoreUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.sessions import Header, check_etag
from shared.ports.cache import CacheUnavailable, SessionCache
from shared.ports.sessions import SessionStore, Tombstone, TombstoneStore
from shared.ports.system import Clock
from shared.ports.turns import Committed
from shared.services.consolidation import RecentSessions
from shared.services.optimistic import OptimisticWriter
from shared.telemetry import log_failure, names
from shared.telemetry.spans import memory_span

TOMBSTONE_DELAY = timedelta(minutes=5)  # longer than any request of the gen can live (182 s)
SWEEPS_AT_A_TIME = 8  # in one run of the timer


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDeletion:
    """Deletes sessions: what a user asks for, and what is left for the timer."""

    sessions: SessionStore
    tombstones: TombstoneStore
    cache: SessionCache
    recent_sessions: RecentSessions
    writer: OptimisticWriter
    clock: Clock

    async def delete(self, user: UserId, session: SessionId, if_match: str | None = None) -> None:
        """Delete a session: its header at once, its turns before this returns.

        The timer deletes what arrives late. Idempotent: a repeat finishes what a first call left.

        Raises:
            PreconditionFailed: If-Match does not match.
            Busy, StoreUnavailable: not everything is gone yet; a repeat or the timer finishes it.
        """
        with memory_span(names.DELETE_MEMORY):
            await self._delete(user, session, if_match)

    async def sweep_due(self) -> int:
        """Sweep due tombstones once more and close them; returns how many. Idempotent."""
        due = await self.tombstones.find_due(self.clock.now())
        slots = asyncio.Semaphore(SWEEPS_AT_A_TIME)
        closing = (self._close(tombstone, slots) for tombstone in due)
        outcomes = await asyncio.gather(*closing, return_exceptions=True)
        failed = [outcome for outcome in outcomes if outcome is not None]
        for error in failed:
            log_failure("tombstone_not_swept", error)  # it stays due: the next run tries again
        return len(due) - len(failed)

    async def _delete(self, user: UserId, session: SessionId, if_match: str | None) -> None:
        header = await self.sessions.read_header(user, session)
        if header is None:
            for tombstone in await self.tombstones.list_tombstones(user, session):
                await self._sweep(user, tombstone.gen)
        else:
            await self._delete_header(user, header, if_match)
            await self._sweep(user, header.gen)
        await self._delete_cached(user, session)

    async def _delete_header(self, user: UserId, seen: Header, if_match: str | None) -> None:
        header: Header | None = seen

        async def attempt() -> bool | None:
            nonlocal header
            if header is None or header.gen != seen.gen:
                return True
            check_etag(header, if_match)
            due_at = self.clock.now() + TOMBSTONE_DELAY
            outcome = await self.tombstones.delete_header(user, header, due_at)
            if isinstance(outcome, Committed):
                return True
            header = await self.sessions.read_header(user, seen.session_id)
            return None

        await self.writer.write(("session", user, seen.session_id), attempt)

    async def _close(self, tombstone: Tombstone, slots: asyncio.Semaphore) -> None:
        async with slots:
            await self._sweep(tombstone.user, tombstone.gen)
            await self._delete_cached(tombstone.user, tombstone.session)
            await self.tombstones.close(tombstone)

    async def _sweep(self, user: UserId, gen: Gen) -> None:
        """Delete what is left of an incarnation, and its summary from the recent sessions."""
        await self.tombstones.sweep(user, gen)
        await self.recent_sessions.withdraw(user, gen)

    async def _delete_cached(self, user: UserId, session: SessionId) -> None:
        try:
            await self.cache.delete(user, session)
        except CacheUnavailable as unavailable:
            raise StoreUnavailable(
                "A copy in the session cache cannot be deleted yet; send the same request again"
            ) from unavailable
