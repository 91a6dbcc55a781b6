"""Values kept with sessions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import JsonValue

from shared.domain.ids import DataName, UserId
from shared.domain.turns import Header


@dataclass(frozen=True, slots=True)
class SessionValue:
    """A JSON value kept with a session until it expires."""

    name: DataName
    value: JsonValue
    updated_at: datetime
    expires_at: datetime


class SessionValues(Protocol):
    """Values kept with a session: its data, and results of tools.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def read_value(self, user: UserId, header: Header, name: DataName) -> SessionValue | None:
        """The value, if it belongs to this incarnation of the session and has not expired."""
        ...

    async def write_value(self, user: UserId, header: Header, value: SessionValue) -> bool:
        """Set the value while the session is the same one; False when it is not. Twice is harmless: it is set again."""
        ...

    async def delete_value(self, user: UserId, header: Header, name: DataName) -> None:
        """Delete the value. Twice is harmless."""
        ...
