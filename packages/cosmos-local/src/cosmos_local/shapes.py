"""The shapes of JSON that requests must have."""

from __future__ import annotations

from collections.abc import Collection

from cosmos_local.errors import bad_request
from cosmos_local.values import Document, Value


def check_members(value: Value, name: str, allowed: Collection[str]) -> Document:
    """Return an object whose members are all understood, and refuse anything else."""
    if not isinstance(value, dict):
        raise bad_request(f"The {name} is invalid or missing.")
    unknown = sorted(value.keys() - allowed)
    if unknown:
        raise bad_request(f"The {name} has properties not supported here: {', '.join(unknown)}.")
    return value


def objects_in(holder: Value, name: str) -> list[Document]:
    """Return the list of objects that is a member of an object; a missing one is empty."""
    entries = holder.get(name) if isinstance(holder, dict) else None
    if entries is None:
        return []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise bad_request(f"The {name} must be a list of objects.")
    return entries
