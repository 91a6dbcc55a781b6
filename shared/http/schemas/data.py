"""Session data on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.http.schemas.fields import Closed
from shared.ports.sessions import DataEntry, DataItem

EXAMPLE: dict[str, JsonValue] = {"value": {"number": 7, "status": "shipped"}}


class DataBody(Closed):
    """A value to store: any JSON, up to 128 KB."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    value: JsonValue


class DataView(BaseModel):
    """One item of session data."""

    name: str
    value: JsonValue
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, item: DataItem) -> Self:
        """Render the item."""
        return cls(
            name=item.name.value,
            value=item.value,
            updated_at=item.updated_at,
            expires_at=item.expires_at,
        )


class DataEntryView(BaseModel):
    """An item of session data without its value."""

    name: str
    bytes: int = Field(description="Its size as stored")
    updated_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, entry: DataEntry) -> Self:
        """Render the entry."""
        return cls(
            name=entry.name.value,
            bytes=entry.bytes,
            updated_at=entry.updated_at,
            expires_at=entry.expires_at,
        )


class DataPage(BaseModel):
    """Items by name; `next_link` if there may be more."""

    value: Sequence[DataEntryView]
    next_link: str | None = None
