"""Session data: what an agent keeps with a session, so that it need not ask its tools twice."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from shared.domain.errors import NotFound, TooLarge
from shared.domain.ids import DataName, SessionId, UserId
from shared.domain.sessions import Header
from shared.ports.sessions import DataEntry, DataItem, SessionDataStore, SessionStore
from shared.ports.system import Clock
from shared.services.optimistic import OptimisticWriter

MAX_DATA_BYTES = 131_072  # a tool's result, not a file


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionData:
    """JSON values by name. They expire with their session, or earlier at their own time.

    `retention` is the lifetime of a value that does not state one.
    """

    sessions: SessionStore
    store: SessionDataStore
    writer: OptimisticWriter
    clock: Clock
    retention: timedelta

    async def read(self, user: UserId, session: SessionId, name: DataName) -> DataItem:
        """Read one item.

        Raises:
            NotFound: there is none, or it has expired.
        """
        header = await self.sessions.read_header(user, session)
        item = await self.store.read_data(user, header, name) if header else None
        if item is None or item.expires_at <= self.clock.now():
            raise NotFound("This session has no data of this name", target="name")
        return item

    async def list(
        self, user: UserId, session: SessionId, after: DataName | None, limit: int
    ) -> Sequence[DataEntry]:
        """Items by name, without their values; none that have expired.

        Raises:
            NotFound: this user has no such session.
        """
        header = await self.sessions.read_header(user, session)
        if header is None or not header.is_shown:
            raise NotFound("There is no such session", target="session_id")
        entries = await self.store.list_data(user, header, after, limit)
        return [entry for entry in entries if entry.expires_at > self.clock.now()]

    async def write(
        self,
        user: UserId,
        session: SessionId,
        name: DataName,
        value: JsonValue,
        ttl_seconds: int | None,
    ) -> DataItem:
        """Write one item, starting the session if there is none yet. Idempotent.

        Raises:
            TooLarge: the value exceeds 128 KB.
            Busy: the session kept being deleted meanwhile.
        """
        size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        if size > MAX_DATA_BYTES:
            raise TooLarge(f"The value exceeds {MAX_DATA_BYTES} bytes; store less", target="value")

        async def attempt() -> DataItem | None:
            header = await self._read_or_begin(user, session)
            if header is None:
                return None
            now = self.clock.now()
            item = DataItem(name, value, now, self._expiry(header, now, ttl_seconds))
            return item if await self.store.write_data(user, header, item) else None

        return await self.writer.write(("data", user, session), attempt)

    async def delete(self, user: UserId, session: SessionId, name: DataName) -> None:
        """Delete one item. Idempotent."""
        header = await self.sessions.read_header(user, session)
        if header:
            await self.store.delete_data(user, header, name)

    def _expiry(self, header: Header, now: datetime, ttl_seconds: int | None) -> datetime:
        """When the item expires: no later than its session, once that has turns."""
        own = timedelta(seconds=ttl_seconds) if ttl_seconds else self.retention
        expires_at = now + min(own, self.retention)
        if header.turn_count and header.expires_at:
            return min(expires_at, header.expires_at)
        return expires_at

    async def _read_or_begin(self, user: UserId, session: SessionId) -> Header | None:
        header = await self.sessions.read_header(user, session)
        if header is None:
            await self.sessions.open_session(user, session, None, self.clock.now())
            header = await self.sessions.read_header(user, session)
        return header
