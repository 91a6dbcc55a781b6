"""What a turn begins with: what was asked for, what was read for it, and whether the cached window may be used."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from shared.domain.context import Known
from shared.domain.ids import SessionId, TurnId
from shared.domain.preferences import Preferences
from shared.domain.summaries import LastTime, newest_times
from shared.domain.turns import Header, Turn, newest_run
from shared.ports.cache import CachedSession, OpenedTurn
from shared.ports.preferences import StoredPreferences

CACHE_AWAY = "session_cache"


@dataclass(frozen=True, slots=True)
class Asked:
    """Which turn of which session is asked for, what makes a resend the same, and who asks, until when."""

    session: SessionId
    turn_id: TurnId
    body_hash: str
    seconds: float
    agent_id: str | None = None
    owner: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class Opened:
    """A turn that is not committed yet: the header it saw, the window that fits it, the user's preferences.

    A cold turn read its window from Cosmos DB, and gives it to the cache when it is committed.
    """

    header: Header
    window: Sequence[Turn]
    cold: bool
    preferences: Preferences
    preferences_expire_at: datetime | None
    last_times: Sequence[LastTime]
    degraded: Sequence[str]

    def known(self) -> Known:
        """What the model is told of the user; of what was remembered nothing, if nothing is to be remembered."""
        if not self.preferences.memory_enabled:
            return Known(self.preferences)
        return Known(self.preferences, self.header.summary, self.last_times)


@dataclass(frozen=True, slots=True)
class Reading:
    """The answers to the three reads that every turn begins with."""

    header: Header
    preferences: StoredPreferences
    cached: OpenedTurn | None  # None: the cache is away
    now: datetime

    def usable_turns(self) -> Sequence[Turn]:
        """Cached turns of the header's incarnation that have not expired; of a stale or empty cache none."""
        if not isinstance(self.cached, CachedSession) or self.cached.gen != self.header.gen:
            return ()
        return tuple(turn for turn in self.cached.turns if turn.expires_at > self.now)

    def is_exact(self, window: Sequence[Turn]) -> bool:
        """Whether these cached turns are, without a gap, the newest of the transcript as the header counts it."""
        count = self.header.turn_count
        counted = isinstance(self.cached, CachedSession) and self.cached.count == count
        return counted and 0 < len(window) == len(newest_run(window, upto=count))

    def opened(self, window: Sequence[Turn], *, cold: bool) -> Opened:
        """The turn with this window, without preferences from before an erase."""
        stored, header = self.preferences, self.header
        fresh = stored.epoch == header.epoch
        return Opened(
            header=header,
            window=window,
            cold=cold,
            preferences=stored.preferences if fresh else Preferences(),
            preferences_expire_at=stored.expires_at if fresh else None,
            last_times=newest_times(stored.last_times, self.now, apart_from=header.session_id)
            if fresh
            else (),
            degraded=() if self.cached else (CACHE_AWAY,),
        )
