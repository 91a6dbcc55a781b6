"""What other sessions are told of a session: its summary, beside the user's preferences, where every turn reads it."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

from shared.domain.errors import Busy
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.preferences import Preferences
from shared.domain.summaries import LastTime, unexpired, with_time, without_gen
from shared.domain.turns import Header
from shared.ports.clock import Clock
from shared.ports.preferences import PreferenceStore, StoredPreferences
from shared.ports.sessions import SessionStore

WRITE_TRIES = 50  # who has many sessions summarised or deleted at once races with themself
PAUSE_SECONDS = 0.05  # at most, before another try


class LastTimes:
    """Publishes summaries and takes them back. What stands there is always derived from a header (ADR 14).

    A session that is deleted while it is published does not stay: publishing reads the preferences' version first and
    the header second, taking back always moves the version after the header is gone, and the write is on the version.
    """

    def __init__(
        self,
        preferences: PreferenceStore,
        sessions: SessionStore,
        clock: Clock,
        retention: timedelta,
    ) -> None:
        """Take the stores and how long preferences live without use."""
        self._preferences = preferences
        self._sessions = sessions
        self._clock = clock
        self._retention = retention

    async def publish(self, user: UserId, session: SessionId) -> None:
        """Let other sessions know this one's summary as its header has it now. Twice is harmless: it is there.

        Raises:
            Busy: others kept changing the preferences.
            StoreUnavailable: Cosmos DB did not answer.
        """
        for _ in range(WRITE_TRIES):
            stored = await self._preferences.read(user)
            header = await self._sessions.read_header(user, session)
            if header is None or header.epoch < stored.epoch:
                return
            latest = _last_time(header)
            if latest is None:
                return
            known = stored.last_times if stored.epoch == header.epoch else ()
            times = with_time(unexpired(known, self._clock.now()), latest)
            if tuple(known) == times or await self._write(user, stored, header.epoch, times):
                return
        raise _lost_races()

    async def take_back(self, user: UserId, gen: Gen) -> None:
        """Let no session know of this incarnation any more; its header is gone already. Twice is harmless.

        Raises:
            Busy, StoreUnavailable: as `publish`.
        """
        for _ in range(WRITE_TRIES):
            stored = await self._preferences.read(user)
            kept = unexpired(stored.last_times, self._clock.now())
            if await self._write(user, stored, stored.epoch, without_gen(kept, gen)):
                return
        raise _lost_races()

    async def _write(
        self, user: UserId, stored: StoredPreferences, epoch: int, times: tuple[LastTime, ...]
    ) -> bool:
        """Write on the version that was read; a lost race is followed by a pause, in which others get through."""
        preferences = stored.preferences if stored.epoch == epoch else Preferences()
        expires_at = self._clock.now() + self._retention
        changed = replace(
            stored, preferences=preferences, epoch=epoch, expires_at=expires_at, last_times=times
        )
        if await self._preferences.write(user, changed):
            return True
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - no secret
        return False


def _last_time(header: Header) -> LastTime | None:
    if header.summary is None or header.expires_at is None:
        return None
    return LastTime(
        session_id=header.session_id,
        gen=header.gen,
        text=header.summary.text,
        at=header.last_active_at,
        expires_at=min(header.expires_at, header.summary.expires_at),
    )


def _lost_races() -> Busy:
    return Busy("Others kept changing the user's preferences; send again", retry_after=1)
