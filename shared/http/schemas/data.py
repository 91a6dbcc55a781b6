"""Session data on the wire."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.http.schemas.fields import Closed
from shared.ports.sessions import DataItem

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
