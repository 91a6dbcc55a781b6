"""Recent sessions: their summaries, stored with the preferences, where every turn reads them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.preferences import Preferences
from shared.domain.quarantine import EMPTY
from shared.domain.sessions import Header
from shared.domain.summaries import RecentSession, unexpired, with_recent_session, without_gen
from shared.ports.preferences import PreferenceStore, StoredPreferences
from shared.ports.sessions import SessionStore
from shared.ports.system import Clock
from shared.services.optimistic import OptimisticWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentSessions:
    """Publishes summaries for the user's other sessions, and withdraws them (ADR 14).

    A session that is deleted while it is published does not stay: publishing reads the version of
    the preferences first and the header second, withdrawing always moves the version after the
    header is gone, and every write is conditional on the version.
    """

    preferences: PreferenceStore
    sessions: SessionStore
    writer: OptimisticWriter
    clock: Clock
    retention: timedelta

    async def publish(self, user: UserId, session: SessionId) -> None:
        """Publish the summary that is on the session's header now. Idempotent.

        Raises:
            Busy: others kept changing the preferences.
            StoreUnavailable: Cosmos DB did not answer.
        """

        async def attempt() -> bool | None:
            stored = await self.preferences.read(user)
            header = await self.sessions.read_header(user, session)
            latest = _recent_session(header) if header else None
            if header is None or latest is None or header.epoch < stored.epoch:
                return True
            known = stored.recent_sessions if stored.epoch == header.epoch else ()
            sessions = with_recent_session(unexpired(known, self.clock.now()), latest)
            if tuple(known) == sessions:
                return True
            return await self._write(user, stored, header.epoch, sessions) or None

        await self.writer.write(("preferences", user), attempt)

    async def withdraw(self, user: UserId, gen: Gen) -> None:
        """Withdraw an incarnation whose header is gone already. Idempotent.

        Raises:
            Busy, StoreUnavailable: as `publish`.
        """

        async def attempt() -> bool | None:
            stored = await self.preferences.read(user)
            kept = without_gen(unexpired(stored.recent_sessions, self.clock.now()), gen)
            stored = replace(stored, quarantine=stored.quarantine.without_gen(gen))
            return await self._write(user, stored, stored.epoch, kept) or None

        await self.writer.write(("preferences", user), attempt)

    async def _write(
        self,
        user: UserId,
        stored: StoredPreferences,
        epoch: int,
        sessions: Sequence[RecentSession],
    ) -> bool:
        """Write on the version that was read; False if it has changed since."""
        changed = replace(
            stored,
            preferences=stored.preferences if stored.epoch == epoch else Preferences(),
            epoch=epoch,
            expires_at=self.clock.now() + self.retention,
            recent_sessions=sessions,
            quarantine=stored.quarantine if stored.epoch == epoch else EMPTY,
        )
        return await self.preferences.write(user, changed)


def _recent_session(header: Header) -> RecentSession | None:
    """What other sessions include of this one; nothing if the provider refused its source."""
    if header.summary is None or header.summary.source_refused or header.expires_at is None:
        return None
    return RecentSession(
        session_id=header.session_id,
        gen=header.gen,
        text=header.summary.text,
        at=header.last_active_at,
        expires_at=min(header.expires_at, header.summary.expires_at),
    )
