"""Preferences on the wire."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.domain.preferences import Preferences
from shared.http.schemas.fields import Closed, Flag, MergePatch

DESCRIPTION = (
    "Any JSON object. `time_zone` is an IANA name, such as Europe/Berlin: dates are stated to "
    "models in it (default: UTC)"
)
EXAMPLE: dict[str, JsonValue] = {"preferences": {"answers": "one short sentence"}}


class PreferencesView(BaseModel):
    """A user's preferences; `{}` if none are set."""

    preferences: dict[str, JsonValue]
    memory_enabled: bool
    updated_at: datetime | None = None

    @classmethod
    def of(cls, stored: Preferences) -> Self:
        """Render preferences."""
        return cls(
            preferences=dict(stored.preferences),
            memory_enabled=stored.memory_enabled,
            updated_at=stored.updated_at,
        )


class PreferencesBody(Closed):
    """The whole object; a field that is left out gets its default."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    preferences: dict[str, JsonValue] = Field(default={}, description=DESCRIPTION)
    memory_enabled: Flag = True


class PreferencesPatchBody(MergePatch):
    """A JSON merge patch (RFC 7396): null removes a key."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    preferences: dict[str, JsonValue] | None = Field(default=None, description=DESCRIPTION)
    memory_enabled: Flag | None = None
