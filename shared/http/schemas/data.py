"""Session data on the wire."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, Field, JsonValue

from shared.http.schemas.fields import Closed
from shared.ports.sessions import DataItem


class DataBody(Closed):
    """A value to store: any JSON, up to 128 KB."""

    value: Annotated[JsonValue, Field(examples=[{"number": 7, "status": "shipped"}])]


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
