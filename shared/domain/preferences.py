"""What a user wants to hold in every conversation, as one JSON object."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from pydantic import JsonValue

from shared.domain.errors import InvalidRequest, TooLarge

MAX_PREFERENCES_BYTES = 65_536  # read on every turn
NO_ETAG = "0"  # of a user who has set nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A user's preferences, and whether anything may be remembered at all; `updated_at` None: never set."""

    preferences: Mapping[str, JsonValue] = field(default_factory=dict)
    memory_enabled: bool = True
    updated_at: datetime | None = None

    @property
    def etag(self) -> str:
        """A digest of the content, not a revision: a repeated write after a lost answer is not refused."""
        if self.updated_at is None:
            return NO_ETAG
        content = [dict(self.preferences), self.memory_enabled]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    def replaced(self, body: Mapping[str, JsonValue], now: datetime) -> "Preferences":
        """Preferences with exactly this body; what the body leaves out goes back to its default.

        Raises:
            InvalidRequest: a field is unknown or of the wrong type.
            TooLarge: the object passes 64 KB.
        """
        unknown = body.keys() - {"preferences", "memory_enabled"}
        if unknown:
            raise InvalidRequest(
                "Only preferences and memory_enabled can be set", target=min(unknown)[:64]
            )
        values, enabled = body.get("preferences", {}), body.get("memory_enabled", True)
        if not isinstance(values, dict):
            raise InvalidRequest("preferences is an object", target="preferences")
        if not isinstance(enabled, bool):
            raise InvalidRequest("memory_enabled is true or false", target="memory_enabled")
        if (
            len(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())
            > MAX_PREFERENCES_BYTES
        ):
            raise TooLarge(
                f"preferences may have {MAX_PREFERENCES_BYTES} bytes", target="preferences"
            )
        return replace(self, preferences=values, memory_enabled=enabled, updated_at=now)

    def patched(self, patch: Mapping[str, JsonValue], now: datetime) -> "Preferences":
        """Preferences after a JSON merge patch (RFC 7396): null removes, objects merge, all else replaces."""
        current: JsonValue = {
            "preferences": dict(self.preferences),
            "memory_enabled": self.memory_enabled,
        }
        merged = merge_patch(current, dict(patch))
        return self.replaced(merged if isinstance(merged, dict) else {}, now)


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """RFC 7396: the target as the patch wants it; neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
