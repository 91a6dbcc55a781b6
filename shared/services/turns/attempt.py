"""A turn in progress: one request's attempt to take a turn, and what it has read for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from shared.domain.errors import Busy
from shared.domain.messages import Message
from shared.domain.preferences import Preferences
from shared.domain.prompt import Memory
from shared.domain.quarantine import EMPTY, Quarantine
from shared.domain.sessions import Header
from shared.domain.summaries import RecentSession, newest_recent_sessions
from shared.domain.turns import Turn, body_hash
from shared.ports.preferences import StoredPreferences
from shared.services.turns.request import TurnRequest
from shared.services.turns.timings import Timings

CACHE_UNAVAILABLE = "session_cache"
WINDOW_INCOMPLETE = "window"
CONTEXT_FILTERED = "context_filtered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a turn has read: the header, the window that matches it, the user's preferences.

    A cold turn read its window from Cosmos DB, and gives it to the cache once it is committed.
    `loop_turn` started the tool loop that the turn continues.
    """

    header: Header
    window: Sequence[Turn]
    cold: bool
    preferences: Preferences
    preferences_expire_at: datetime | None
    recent_sessions: Sequence[RecentSession]
    quarantine: Quarantine
    loop_turn: Turn | None = None

    @classmethod
    def of(
        cls,
        header: Header,
        stored: StoredPreferences,
        window: Sequence[Turn],
        now: datetime,
        *,
        cold: bool,
    ) -> "Snapshot":
        """Combine what was read, without preferences from before an erase."""
        current = stored.epoch == header.epoch
        recent = stored.recent_sessions if current else ()
        return cls(
            header=header,
            window=window,
            cold=cold,
            preferences=stored.preferences if current else Preferences(),
            preferences_expire_at=stored.expires_at if current else None,
            quarantine=stored.quarantine if current else EMPTY,
            recent_sessions=newest_recent_sessions(recent, now, apart_from=header.session_id),
        )

    @property
    def memory(self) -> Memory:
        """What the model is given about the user; only preferences with memory switched off.

        Nothing that is in quarantine.
        """
        memory = Memory(self.preferences)
        if self.preferences.memory_enabled:
            memory = Memory(self.preferences, self.header.summary, self.recent_sessions)
        return memory.without(self.quarantine) if self.quarantine else memory


@dataclass(slots=True)
class TurnAttempt:
    """One HTTP request's attempt to take a turn, which works on it for at most `seconds`.

    Its lease ends after `lease_seconds`, should the worker die: the same time, if it is None.

    `owner` names the attempt in the turn's lease. `snapshot` is set when the turn is opened.
    `degraded` collects what the turn has to do without.
    """

    request: TurnRequest
    seconds: float
    now: datetime
    lease_seconds: float | None = None
    owner: str = field(default_factory=lambda: uuid4().hex)
    timings: Timings = field(default_factory=Timings)
    degraded: set[str] = field(default_factory=set)
    body_hash: str = field(init=False)
    messages: Sequence[Message] = field(init=False)
    snapshot: Snapshot = field(init=False)

    def __post_init__(self) -> None:
        """Derive what every stage needs from the request."""
        self.body_hash = body_hash(self.request.identity)
        self.messages = self.request.messages(self.now)

    @property
    def seconds_left(self) -> float:
        """Seconds until its deadline."""
        return self.seconds - self.timings.seconds


@asynccontextmanager
async def turn_deadline(seconds: float) -> AsyncIterator[None]:
    """Bound everything that a request does for its turn.

    Raises:
        Busy: the seconds are over; the same request may be sent again.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as late:
        raise Busy(
            "The turn took too long and may or may not be stored; send the same request again",
            retry_after=1,
        ) from late
