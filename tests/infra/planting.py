"""Snapshots with one fault planted in them."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.bicep import FOLDER
from infra.bicep.snapshot import Resource, Snapshot

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOTS = {snapshot.name: snapshot for snapshot in FOLDER.load_snapshots()}
REMOVED = object()


def changed(snapshot: Snapshot, resource_type: str, path: str, value: Any) -> Snapshot:
    """Give the first resource of a type another value at a dotted path."""
    victim = snapshot.of(resource_type)[0]
    body = copy.deepcopy(dict(victim.body))
    *parents, last = path.split(".")
    owner = body
    for key in parents:
        owner = owner.setdefault(key, {})
    assert owner.get(last, REMOVED) != value
    if value is REMOVED:
        del owner[last]
    else:
        owner[last] = value
    return swapped(snapshot, victim, Resource(body))


def rewritten(snapshot: Snapshot, resource_type: str, right: str, wrong: str) -> Snapshot:
    """Replace a text wherever it is in the first resource of a type that has it."""
    found = [each for each in snapshot.of(resource_type) if right in json.dumps(each.body)]
    body = json.loads(json.dumps(found[0].body).replace(right, wrong))
    return swapped(snapshot, found[0], Resource(body))


def removed(snapshot: Snapshot, resource_type: str, ending: str = "") -> Snapshot:
    """Leave out the first resource of a type whose id has this ending."""
    victim = next(each for each in snapshot.of(resource_type) if each.id.endswith(ending))
    return replace(
        snapshot, resources=tuple(each for each in snapshot.resources if each is not victim)
    )


def added(snapshot: Snapshot, **body: Any) -> Snapshot:
    """Add a resource."""
    return replace(snapshot, resources=(*snapshot.resources, Resource(body)))


def swapped(snapshot: Snapshot, old: Resource, new: Resource) -> Snapshot:
    """Put one resource in another's place."""
    resources = tuple(new if each is old else each for each in snapshot.resources)
    return replace(snapshot, resources=resources)
