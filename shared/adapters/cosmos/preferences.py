"""Preferences: one item per user in the `preferences` container."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core import MatchConditions

from shared.adapters.cosmos.containers import PREFERENCES, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemExists, ItemMissing
from shared.adapters.cosmos.items import (
    quarantine_item,
    quarantine_of,
    recent_session_item,
    recent_session_of,
    set_fields,
)
from shared.adapters.cosmos.times import read_time, ttl_until, write_time
from shared.domain.errors import Contended
from shared.domain.ids import UserId
from shared.domain.preferences import Preferences
from shared.ports.preferences import StoredPreferences
from shared.ports.system import Clock


@dataclass(frozen=True, slots=True)
class CosmosPreferences:
    """Reads and writes one item on the condition of its ETag."""

    containers: CosmosContainers
    clock: Clock

    async def read(self, user: UserId) -> StoredPreferences:
        """Read one item; expired preferences look like none."""
        try:
            async with self.containers.call(PREFERENCES) as container:
                item = await container.read_item(user.value, user.value)
        except ItemMissing:
            return StoredPreferences(Preferences(), 0, None, None)
        preferences = Preferences(
            preferences=item["preferences"],
            memory_enabled=item["memory_enabled"],
            updated_at=read_time(item["updated_at"]) if item["updated_at"] else None,
        )
        recent_sessions = tuple(map(recent_session_of, item.get("recent_sessions", ())))
        expires_at = read_time(item["expires_at"])
        return StoredPreferences(
            preferences,
            item["epoch"],
            item["_etag"],
            expires_at,
            recent_sessions,
            quarantine_of(item.get("quarantine", {})),
        )

    async def write(self, user: UserId, preferences: StoredPreferences) -> bool:
        """Create the item, or replace the version that was read; False if another write won.

        Idempotent: a repeat finds another version.
        """
        item = self._item(user, preferences)
        try:
            async with self.containers.call(PREFERENCES) as container:
                if preferences.version is None:
                    await container.create_item(item)
                else:
                    await container.replace_item(
                        user.value,
                        item,
                        etag=preferences.version,
                        match_condition=MatchConditions.IfNotModified,
                    )
        except (ItemExists, ItemChanged, ItemMissing, Contended):
            return False
        return True

    async def renew(self, user: UserId, expires_at: datetime) -> None:
        """Set their expiry, if they exist. Idempotent: the same time is set again."""
        fields = {
            "expires_at": write_time(expires_at),
            "ttl": ttl_until(expires_at, self.clock.now()),
        }
        try:
            async with self.containers.call(PREFERENCES) as container:
                await container.patch_item(user.value, user.value, set_fields(fields))
        except (ItemMissing, ItemChanged, Contended):
            return

    async def delete(self, user: UserId, version: str) -> bool:
        """Delete this version; False if another one is stored. Idempotent: missing is deleted."""
        try:
            async with self.containers.call(PREFERENCES) as container:
                await container.delete_item(
                    user.value,
                    user.value,
                    etag=version,
                    match_condition=MatchConditions.IfNotModified,
                )
        except ItemMissing:
            return True
        except (ItemChanged, Contended):
            return False
        return True

    def _item(self, user: UserId, stored: StoredPreferences) -> dict[str, Any]:
        now = self.clock.now()
        expires_at = stored.expires_at or now
        updated_at = stored.preferences.updated_at
        return {
            "id": user.value,
            "user_id": user.value,
            "epoch": stored.epoch,
            "preferences": dict(stored.preferences.preferences),
            "memory_enabled": stored.preferences.memory_enabled,
            "updated_at": updated_at and write_time(updated_at),
            "recent_sessions": list(map(recent_session_item, stored.recent_sessions)),
            "quarantine": quarantine_item(stored.quarantine),
            "expires_at": write_time(expires_at),
            "ttl": ttl_until(expires_at, now),
        }
