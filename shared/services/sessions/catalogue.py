"""Sessions as their user sees them: listed, read, changed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.errors import NotFound
from shared.domain.ids import SessionId, UserId
from shared.domain.sessions import Header, SessionPatch, check_etag
from shared.domain.turns import Turn
from shared.ports.sessions import HeaderChange, HeaderCursor, SessionStore
from shared.ports.turns import TurnStore
from shared.ports.users import UserStore
from shared.services.consolidation import RecentSessions
from shared.services.optimistic import OptimisticWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What a user may do with sessions, all within the user's own partition."""

    store: SessionStore
    turns: TurnStore
    users: UserStore
    recent_sessions: RecentSessions
    writer: OptimisticWriter

    async def list(self, user: UserId, after: HeaderCursor | None, limit: int) -> Sequence[Header]:
        """Sessions with turns or data, newest first; none from before an erase."""
        epoch, headers = await asyncio.gather(
            self.users.read_epoch(user), self.store.list_headers(user, after, limit)
        )
        return [header for header in headers if header.epoch >= epoch]

    async def read(self, user: UserId, session: SessionId) -> Header:
        """The header of a session that has turns or data.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self.store.read_header(user, session)
        if header is None or not header.is_shown:
            raise NotFound("There is no such session", target="session_id")
        return header

    async def list_turns(
        self, user: UserId, session: SessionId, after_seq: int, limit: int
    ) -> tuple[Sequence[Turn], bool]:
        """Turns past `after_seq`, in order, and whether there are more.

        A page ends early at about 1 MB.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self.read(user, session)
        turns = await self.turns.list_turns(user, session, header.gen, after_seq, limit)
        return turns, bool(turns) and turns[-1].seq < header.turn_count

    async def list_newest_turns(
        self, user: UserId, session: SessionId, before_seq: int | None, limit: int
    ) -> tuple[Sequence[Turn], bool]:
        """Turns before `before_seq`, or all, newest first, and whether there are more.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self.read(user, session)
        before = header.turn_count + 1 if before_seq is None else before_seq
        turns = await self.turns.list_turns_before(user, session, header.gen, before, limit)
        return turns, bool(turns) and turns[-1].seq > 1

    async def update(
        self, user: UserId, session: SessionId, patch: SessionPatch, if_match: str | None
    ) -> Header:
        """Apply a merge patch to title and time to live.

        Idempotent: a repeat finds its values set, also with the If-Match of the first time.

        Raises:
            NotFound, PreconditionFailed, Busy, StoreUnavailable: nothing has changed.
        """

        async def attempt() -> Header | None:
            header = await self.read(user, session)
            changed = patch.apply(header)
            if changed == header:
                return header
            check_etag(header, if_match)
            change = HeaderChange(changed.title, changed.ttl_seconds)
            return await self.store.change_header(user, header, change)

        header = await self.writer.write(("session", user, session), attempt)
        await self._shorten(user, header)
        return header

    async def _shorten(self, user: UserId, header: Header) -> None:
        """Apply a shorter time to live to existing turns; a longer one holds for new ones only."""
        if header.ttl_seconds and header.expires_at:
            used_at = header.committed_at or header.last_active_at
            end = used_at + timedelta(seconds=header.ttl_seconds)
            if end < header.expires_at:
                await self.store.shorten(user, header, end)
            await self.recent_sessions.publish(user, header.session_id)
