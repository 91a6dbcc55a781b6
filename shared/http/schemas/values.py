"""Values kept with sessions, on the wire."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, JsonValue

from shared.http.schemas.fields import Closed
from shared.ports.values import SessionValue


class ValueBody(Closed):
    """A value to keep: any JSON."""

    value: JsonValue


class ValueView(BaseModel):
    """A value kept with a session."""

    name: str
    value: JsonValue
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, kept: SessionValue) -> Self:
        """The value on the wire."""
        return cls(
            name=kept.name.value,
            value=kept.value,
            updated_at=kept.updated_at,
            expires_at=kept.expires_at,
        )
