"""Preferences of users."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import UserId
from shared.domain.preferences import Preferences
from shared.domain.summaries import LastTime


@dataclass(frozen=True, slots=True)
class StoredPreferences:
    """Preferences with the epoch they were set in and the version that guards the next write.

    Beside them, so that a turn need not read more, the newest sessions' summaries.
    """

    preferences: Preferences
    epoch: int
    version: str | None
    expires_at: datetime | None
    last_times: Sequence[LastTime] = ()


class PreferenceStore(Protocol):
    """One object per user.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def read(self, user: UserId) -> StoredPreferences:
        """The user's preferences; of a new user the empty ones, without a version."""
        ...

    async def write(self, user: UserId, preferences: StoredPreferences) -> bool:
        """Write them if what is stored still has their version; False when it has not.

        Twice is harmless: the second write finds another version and is refused.
        """
        ...

    async def renew(self, user: UserId, expires_at: datetime) -> None:
        """Move their expiry, if they are there. Twice is harmless: the same time is set again."""
        ...

    async def delete(self, user: UserId, version: str) -> bool:
        """Delete this version; False when another is stored. Twice is harmless: it is gone."""
        ...
