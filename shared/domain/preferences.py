"""A user's preferences: one JSON object that applies to every conversation."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from pydantic import JsonValue

from shared.domain.dates import find_zone, zone_or_utc
from shared.domain.errors import InvalidRequest, TooLarge

MAX_PREFERENCES_BYTES = 65_536  # read on every turn
NO_ETAG = "0"  # of a user who has set nothing
TIME_ZONE = "time_zone"  # the one preference that the product itself reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A user's preferences, and whether memory is enabled; `updated_at` is None if never set."""

    preferences: Mapping[str, JsonValue] = field(default_factory=dict)
    memory_enabled: bool = True
    updated_at: datetime | None = None

    @property
    def etag(self) -> str:
        """A digest of the content.

        Not a revision: a write that is repeated after a lost response still matches.
        """
        if self.updated_at is None:
            return NO_ETAG
        content = [dict(self.preferences), self.memory_enabled]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def zone(self) -> tzinfo:
        """The time zone in which dates are stated to the user's models; UTC if none is set."""
        return zone_or_utc(self.preferences.get(TIME_ZONE))

    def replaced(self, body: Mapping[str, JsonValue], now: datetime) -> "Preferences":
        """Preferences with exactly this body; fields it leaves out get their defaults.

        Raises:
            InvalidRequest: a field is unknown or of the wrong type, or the time zone unknown.
            TooLarge: the object exceeds 64 KB.
        """
        unknown = body.keys() - {"preferences", "memory_enabled"}
        if unknown:
            raise InvalidRequest(
                "There is no such field; set only preferences and memory_enabled",
                target=min(unknown)[:64],
            )
        values, enabled = body.get("preferences", {}), body.get("memory_enabled", True)
        if not isinstance(values, dict):
            raise InvalidRequest("Send a JSON object here", target="preferences")
        if not isinstance(enabled, bool):
            raise InvalidRequest("Send true or false here", target="memory_enabled")
        zone = values.get(TIME_ZONE)
        is_new = zone != self.preferences.get(TIME_ZONE)
        if is_new and zone is not None and find_zone(zone) is None:
            raise InvalidRequest(
                "There is no such time zone; send an IANA name, such as Europe/Berlin",
                target=f"preferences.{TIME_ZONE}",
            )
        size = len(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())
        if size > MAX_PREFERENCES_BYTES:
            raise TooLarge(
                f"The preferences exceed {MAX_PREFERENCES_BYTES} bytes; store less",
                target="preferences",
            )
        return replace(self, preferences=values, memory_enabled=enabled, updated_at=now)

    def patched(self, patch: Mapping[str, JsonValue], now: datetime) -> "Preferences":
        """Preferences after a JSON merge patch (RFC 7396).

        null removes a key, objects are merged, any other value replaces the old one.

        Raises:
            InvalidRequest, TooLarge: as `replaced`.
        """
        current: JsonValue = {
            "preferences": dict(self.preferences),
            "memory_enabled": self.memory_enabled,
        }
        merged = merge_patch(current, dict(patch))
        return self.replaced(merged if isinstance(merged, dict) else {}, now)


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Apply a JSON merge patch (RFC 7396) to a value; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
