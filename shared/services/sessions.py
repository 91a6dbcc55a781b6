"""Sessions as their user sees them: listed, read, renamed."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from shared.domain.errors import Conflict, NotFound
from shared.domain.ids import SessionId, UserId
from shared.domain.sessions import SessionPatch, check_etag
from shared.domain.turns import Header, Turn
from shared.ports.sessions import HeaderChange, HeaderCursor, SessionStore
from shared.ports.transcript import TranscriptStore
from shared.ports.users import UserStore
from shared.services.last_times import LastTimes

WRITE_TRIES = 5


class Sessions:
    """What a user may do with sessions; all of it is confined to the user's own partition."""

    def __init__(
        self,
        store: SessionStore,
        transcript: TranscriptStore,
        users: UserStore,
        last_times: LastTimes,
    ) -> None:
        """Take the ports, and what other sessions are told."""
        self._store = store
        self._transcript = transcript
        self._users = users
        self._last_times = last_times

    async def list(self, user: UserId, after: HeaderCursor | None, limit: int) -> Sequence[Header]:
        """Sessions with turns, newest first; none from before the user was erased."""
        epoch, headers = await asyncio.gather(
            self._users.read_epoch(user), self._store.list_headers(user, after, limit)
        )
        return [header for header in headers if header.epoch >= epoch]

    async def read(self, user: UserId, session: SessionId) -> Header:
        """The header of a session with turns.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self._store.read_header(user, session)
        if header is None or header.turn_count == 0:
            raise NotFound("There is no such session", target="session_id")
        return header

    async def list_turns(
        self, user: UserId, session: SessionId, after_seq: int, limit: int
    ) -> tuple[Sequence[Turn], bool]:
        """Turns with a greater seq, in order, and whether there are more; a page ends early at about 1 MB.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self.read(user, session)
        turns = await self._transcript.list_turns(user, session, header.gen, after_seq, limit)
        return turns, bool(turns) and turns[-1].seq < header.turn_count

    async def update(
        self, user: UserId, session: SessionId, patch: SessionPatch, if_match: str | None
    ) -> Header:
        """Apply a merge patch to title, strategy and time to live. Twice is harmless: the same values are set.

        Raises:
            NotFound, PreconditionFailed; Conflict after five lost races.
        """
        for _ in range(WRITE_TRIES):
            header = await self.read(user, session)
            changed = patch.apply(header)
            if changed == header:
                await self._shorten(
                    user, header
                )  # a repeat after a lost answer: it may have been cut short there
                return header
            check_etag(header, if_match)
            change = HeaderChange(changed.title, changed.strategy, changed.ttl_seconds)
            if written := await self._store.change_header(user, header, change):
                await self._shorten(user, written)
                return written
        raise Conflict("Others kept changing this session; read it and try again", retry_after=1)

    async def _shorten(self, user: UserId, header: Header) -> None:
        """A shorter time to live holds for what was said already, too; a longer one for what is said from now on."""
        if header.ttl_seconds and header.expires_at:
            end = header.last_active_at + timedelta(seconds=header.ttl_seconds)
            if end < header.expires_at:
                await self._store.shorten(user, header, end)
            await self._last_times.publish(user, header.session_id)
