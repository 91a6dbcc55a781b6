"""A user's preferences: read, replaced, merged, deleted."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import JsonValue

from shared.domain.errors import PreconditionFailed
from shared.domain.ids import UserId
from shared.domain.preferences import Preferences
from shared.ports.preferences import PreferenceStore, StoredPreferences
from shared.ports.system import Clock
from shared.ports.users import UserStore
from shared.services.optimistic import OptimisticWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPreferences:
    """One object per user, written on the version that was read, so that no write is lost.

    `retention` is how long preferences live without use.
    """

    store: PreferenceStore
    users: UserStore
    writer: OptimisticWriter
    clock: Clock
    retention: timedelta

    async def read(self, user: UserId) -> Preferences:
        """The user's preferences; empty for a new or an erased user."""
        stored, _ = await self._read_current(user)
        return stored.preferences

    async def replace(
        self, user: UserId, body: Mapping[str, JsonValue], if_match: str | None
    ) -> Preferences:
        """Replace the whole object. Idempotent: it is the same object.

        Raises:
            InvalidRequest, TooLarge, PreconditionFailed, Busy, StoreUnavailable: nothing changed.
        """
        return await self._write(user, if_match, lambda old, now: old.replaced(body, now))

    async def merge(
        self, user: UserId, patch: Mapping[str, JsonValue], if_match: str | None
    ) -> Preferences:
        """Apply a JSON merge patch to what is stored at that moment. Idempotent, as merging is.

        Raises:
            InvalidRequest, TooLarge, PreconditionFailed, Busy, StoreUnavailable: nothing changed.
        """
        return await self._write(user, if_match, lambda old, now: old.patched(patch, now))

    async def delete(self, user: UserId, if_match: str | None) -> None:
        """Delete them. Idempotent.

        Raises:
            PreconditionFailed, Busy, StoreUnavailable: nothing changed.
        """

        async def attempt() -> bool | None:
            stored = await self.store.read(user)
            _check_etag(stored.preferences, if_match)
            if stored.version is None:
                return True
            return await self._delete(user, stored, stored.version) or None

        await self.writer.write(("preferences", user), attempt)

    async def _delete(self, user: UserId, stored: StoredPreferences, version: str) -> bool:
        """Delete them, but nothing else that is stored in the same document."""
        quarantine = stored.quarantine.within(Preferences())
        if stored.recent_sessions or quarantine:
            emptied = replace(stored, preferences=Preferences(), quarantine=quarantine)
            return await self.store.write(user, emptied)
        return await self.store.delete(user, version)

    async def _write(
        self,
        user: UserId,
        if_match: str | None,
        change: Callable[[Preferences, datetime], Preferences],
    ) -> Preferences:
        async def attempt() -> Preferences | None:
            stored, epoch = await self._read_current(user)
            now = self.clock.now()
            changed = change(stored.preferences, now)
            if changed.etag == stored.preferences.etag:
                return stored.preferences  # a repeat after a lost answer
            _check_etag(stored.preferences, if_match)
            expires_at = now + self.retention
            written = replace(
                stored,
                preferences=changed,
                epoch=epoch,
                expires_at=expires_at,
                quarantine=stored.quarantine.within(changed),
            )
            return changed if await self.store.write(user, written) else None

        return await self.writer.write(("preferences", user), attempt)

    async def _read_current(self, user: UserId) -> tuple[StoredPreferences, int]:
        """What is stored, emptied if it is from before an erase, and the user's epoch."""
        stored, epoch = await asyncio.gather(self.store.read(user), self.users.read_epoch(user))
        if stored.epoch != epoch:
            stored = StoredPreferences(Preferences(), epoch, stored.version, None)
        return stored, epoch


def _check_etag(current: Preferences, if_match: str | None) -> None:
    if if_match not in {None, current.etag} and not (if_match == "*" and current.updated_at):
        raise PreconditionFailed("The preferences have changed; read them again", target="If-Match")
