"""A user's preferences: read, replaced, merged, cleared."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import JsonValue

from shared.domain.errors import Conflict, PreconditionFailed
from shared.domain.ids import UserId
from shared.domain.preferences import Preferences
from shared.ports.clock import Clock
from shared.ports.preferences import PreferenceStore, StoredPreferences
from shared.ports.users import UserStore

WRITE_TRIES = 5


class UserPreferences:
    """One object per user, written under the version that was read, so that no write is lost."""

    def __init__(
        self, store: PreferenceStore, users: UserStore, clock: Clock, retention: timedelta
    ) -> None:
        """Take the ports and how long preferences live without use."""
        self._store = store
        self._users = users
        self._clock = clock
        self._retention = retention

    async def read(self, user: UserId) -> Preferences:
        """What the user has set; empty for a new or an erased user."""
        stored, _ = await self._read_current(user)
        return stored.preferences

    async def replace(
        self, user: UserId, body: Mapping[str, JsonValue], if_match: str | None
    ) -> Preferences:
        """Set the whole object. Twice is harmless: it is the same object.

        Raises:
            InvalidRequest, TooLarge, PreconditionFailed; Conflict after five lost races.
        """
        return await self._write(user, if_match, lambda current, now: current.replaced(body, now))

    async def merge(
        self, user: UserId, patch: Mapping[str, JsonValue], if_match: str | None
    ) -> Preferences:
        """Apply a JSON merge patch to what is stored at that moment. Twice is harmless: merging is idempotent.

        Raises:
            InvalidRequest, TooLarge, PreconditionFailed; Conflict after five lost races.
        """
        return await self._write(user, if_match, lambda current, now: current.patched(patch, now))

    async def clear(self, user: UserId, if_match: str | None) -> None:
        """Forget them. Twice is harmless.

        Raises:
            PreconditionFailed; Conflict after five lost races.
        """
        for _ in range(WRITE_TRIES):
            stored = await self._store.read(user)
            _check_etag(stored.preferences, if_match)
            if stored.version is None or await self._forget(user, stored):
                return
        raise _lost_races()

    async def _forget(self, user: UserId, stored: StoredPreferences) -> bool:
        """Delete them, but not the sessions' summaries that stand beside them."""
        if stored.last_times:
            return await self._store.write(user, replace(stored, preferences=Preferences()))
        return await self._store.delete(user, stored.version or "")

    async def _write(
        self,
        user: UserId,
        if_match: str | None,
        change: Callable[[Preferences, datetime], Preferences],
    ) -> Preferences:
        for _ in range(WRITE_TRIES):
            stored, epoch = await self._read_current(user)
            now = self._clock.now()
            changed = change(stored.preferences, now)
            if changed.etag == stored.preferences.etag:
                return stored.preferences  # a repeat after a lost answer: what it asks for is so
            _check_etag(stored.preferences, if_match)
            written = replace(
                stored, preferences=changed, epoch=epoch, expires_at=now + self._retention
            )
            if await self._store.write(user, written):
                return changed
        raise _lost_races()

    async def _read_current(self, user: UserId) -> tuple[StoredPreferences, int]:
        """What is stored, emptied if it is from before an erase, and the user's epoch."""
        stored, epoch = await asyncio.gather(self._store.read(user), self._users.read_epoch(user))
        if stored.epoch != epoch:
            stored = StoredPreferences(Preferences(), epoch, stored.version, None)
        return stored, epoch


def _check_etag(current: Preferences, if_match: str | None) -> None:
    if if_match not in {None, current.etag} and not (if_match == "*" and current.updated_at):
        raise PreconditionFailed("The preferences have changed; read them again", target="If-Match")


def _lost_races() -> Conflict:
    return Conflict("Others kept changing the preferences; read them and try again", retry_after=1)
