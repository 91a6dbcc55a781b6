"""A user's preferences."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import UserId
from shared.domain.preferences import Preferences
from shared.domain.quarantine import EMPTY, Quarantine
from shared.domain.summaries import RecentSession


@dataclass(frozen=True, slots=True)
class StoredPreferences:
    """Preferences, the epoch they were set in, and the version that guards the next write.

    The recent sessions' summaries and the quarantine are stored with them, so that a turn reads
    fewer documents.
    """

    preferences: Preferences
    epoch: int
    version: str | None
    expires_at: datetime | None
    recent_sessions: Sequence[RecentSession] = ()
    quarantine: Quarantine = EMPTY


class PreferenceStore(Protocol):
    """One object per user.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def read(self, user: UserId) -> StoredPreferences:
        """The user's preferences; for a new user empty ones, without a version."""
        ...

    async def write(self, user: UserId, preferences: StoredPreferences) -> bool:
        """Write them if the stored version is still theirs; False if it is not.

        Idempotent: a repeat finds another version and is refused.
        """
        ...

    async def renew(self, user: UserId, expires_at: datetime) -> None:
        """Extend their expiry, if they exist. Idempotent: the same time is set again."""
        ...

    async def delete(self, user: UserId, version: str) -> bool:
        """Delete this version; False if another one is stored. Idempotent: it is gone."""
        ...
