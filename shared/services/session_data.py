"""Session data: what an agent keeps with a conversation, so that it need not ask its tools twice."""

import json
from datetime import timedelta

from pydantic import JsonValue

from shared.domain.errors import Conflict, NotFound, TooLarge
from shared.domain.ids import DataName, SessionId, UserId
from shared.domain.turns import Header
from shared.ports.clock import Clock
from shared.ports.sessions import SessionStore
from shared.ports.values import SessionValue, SessionValues

MAX_VALUE_BYTES = 131_072  # a tool's result, not a file
WRITE_TRIES = 5


class SessionData:
    """Values by name. They go with their session, or earlier, at their own time."""

    def __init__(
        self, sessions: SessionStore, values: SessionValues, clock: Clock, retention: timedelta
    ) -> None:
        """Take the stores and how long a value lives that says nothing of it."""
        self._sessions = sessions
        self._values = values
        self._clock = clock
        self._retention = retention

    async def read(self, user: UserId, session: SessionId, name: DataName) -> SessionValue:
        """The value.

        Raises:
            NotFound: there is none, or it has expired.
        """
        header = await self._sessions.read_header(user, session)
        value = await self._values.read_value(user, header, name) if header else None
        if value is None or value.expires_at <= self._clock.now():
            raise NotFound("There is no such value in this session", target="name")
        return value

    async def write(
        self,
        user: UserId,
        session: SessionId,
        name: DataName,
        value: JsonValue,
        ttl_seconds: int | None,
    ) -> SessionValue:
        """Set the value; a session that has not begun yet begins. Twice is harmless: it is set again.

        Raises:
            TooLarge: the value passes 128 KB.
            Conflict: the session was deleted over and over meanwhile.
        """
        if (
            len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
            > MAX_VALUE_BYTES
        ):
            raise TooLarge(f"A value may have {MAX_VALUE_BYTES} bytes", target="value")
        for _ in range(WRITE_TRIES):
            header = await self._read_or_begin(user, session)
            now = self._clock.now()
            lifetime = (
                min(timedelta(seconds=ttl_seconds), self._retention)
                if ttl_seconds
                else self._retention
            )
            expires_at = now + lifetime
            if header and header.turn_count and header.expires_at:
                expires_at = min(expires_at, header.expires_at)  # it goes with its session
            kept = SessionValue(name, value, now, expires_at)
            if header and await self._values.write_value(user, header, kept):
                return kept
        raise Conflict("The session keeps being deleted; try again", retry_after=1)

    async def delete(self, user: UserId, session: SessionId, name: DataName) -> None:
        """Delete the value. Twice is harmless."""
        header = await self._sessions.read_header(user, session)
        if header:
            await self._values.delete_value(user, header, name)

    async def _read_or_begin(self, user: UserId, session: SessionId) -> Header | None:
        header = await self._sessions.read_header(user, session)
        if header is None:
            await self._sessions.open_session(user, session, None, self._clock.now())
            header = await self._sessions.read_header(user, session)
        return header
