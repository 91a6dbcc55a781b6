"""What differs between two snapshots, property by property."""

from collections.abc import Iterator
from typing import Any

from infra.bicep.snapshot import Snapshot

NOTHING = "(nothing)"


def differences(old: Snapshot, new: Snapshot) -> Iterator[str]:
    """Yield `variant: resource: property: old => new` for each property that differs."""
    before, after = _flatten(old), _flatten(new)
    for place in sorted(before.keys() | after.keys()):
        values = before.get(place, NOTHING), after.get(place, NOTHING)
        if values[0] != values[1]:
            resource, path = place
            yield f"{new.name}: {resource}: {path}: {values[0]!r} => {values[1]!r}"


def _flatten(snapshot: Snapshot) -> dict[tuple[str, str], Any]:
    flat = {
        (resource.id.partition("/providers/")[2] or resource.id, path): value
        for resource in snapshot.resources
        for path, value in _leaves("", dict(resource.body))
    }
    return flat | {("outputs", path): value for path, value in _leaves("", dict(snapshot.outputs))}


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from _leaves(f"{path}.{key}".lstrip("."), part)
    else:
        yield path, value
