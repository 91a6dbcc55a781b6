"""A snapshot: every resource of one variant, with its properties, as Azure would receive them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ENDING = ".snapshot.json"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource. Ids and names are plain text; properties only Azure knows are expressions."""

    body: Mapping[str, Any]

    @property
    def type(self) -> str:
        """Its full type."""
        return str(self.body["type"])

    @property
    def id(self) -> str:
        """Its full id."""
        return str(self.body["id"])

    @property
    def name(self) -> str:
        """The last part of its name."""
        return str(self.body["name"]).rpartition("/")[2]

    def at(self, path: str) -> Any:
        """The value at a dotted path; None if there is none."""
        value: Any = self.body
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one variant deploys."""

    name: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any]

    def of(self, resource_type: str) -> list[Resource]:
        """The resources of a type."""
        return [resource for resource in self.resources if resource.type == resource_type]

    @property
    def is_private(self) -> bool:
        """Whether the variant has a network."""
        return bool(self.of("Microsoft.Network/virtualNetworks"))


def parse_snapshot(name: str, text: str) -> Snapshot:
    """Read the text of a snapshot."""
    content = json.loads(text)
    resources = tuple(Resource(body) for body in content["predictedResources"])
    return Snapshot(name, resources, content["outputs"])


def texts_in(value: Any) -> Iterator[str]:
    """Yield every string inside a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts_in(part)
