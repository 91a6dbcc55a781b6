"""What a container's properties say about its documents."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from cosmos_local.computed import Computed, read_computed
from cosmos_local.errors import bad_request
from cosmos_local.index_policy import IndexPolicy, read_indexing
from cosmos_local.keys import KeyDefinition, Path, define_key, parse_path
from cosmos_local.shapes import check_members, objects_in
from cosmos_local.text_policy import read_texts
from cosmos_local.values import Document, Value, is_number
from cosmos_local.vector_policy import VectorPolicy, read_vectors

MAX_TTL = 2**31 - 1
_MEMBERS = frozenset(
    """
    id partitionKey indexingPolicy defaultTtl uniqueKeyPolicy vectorEmbeddingPolicy fullTextPolicy
    computedProperties conflictResolutionPolicy geospatialConfig changeFeedPolicy
    analyticalStorageTtl
    """.split()  # noqa: SIM905 - a list of twelve strings reads worse
)


@dataclass(frozen=True)
class Definition:
    """A container as the gateway sees it: its number in storage and its parsed policies."""

    number: int
    rid: str
    properties: Document = field(compare=False)
    key: KeyDefinition
    default_ttl: int | None
    unique_keys: tuple[tuple[Path, ...], ...]
    indexing: IndexPolicy
    vectors: tuple[VectorPolicy, ...]
    texts: tuple[Path, ...]
    computed: tuple[Computed, ...]

    @cached_property
    def packed_vectors(self) -> tuple[str, ...]:
        """Return the top-level vector properties, which storage keeps outside the body."""
        return tuple(policy.path[0] for policy in self.vectors if len(policy.path) == 1)

    def vector_policy(self, path: Path) -> VectorPolicy | None:
        """Return the policy of a vector path, if it has one."""
        return next((policy for policy in self.vectors if policy.path == path), None)


def define(number: int, rid: str, properties: Document, range_count: int) -> Definition:
    """Check a container's properties as the service would, and parse them."""
    public = {name: value for name, value in properties.items() if not name.startswith("_")}
    check_members(public, "container", _MEMBERS)
    indexing = properties.get("indexingPolicy")
    if not isinstance(indexing, dict):
        raise bad_request("The indexingPolicy is invalid.")
    _check_inert(properties)
    key = define_key(properties, range_count)
    vectors = read_vectors(properties, indexing)
    if {vector.path for vector in vectors} & set(key.paths):
        raise bad_request("A vector path cannot be the partition key.")
    return Definition(
        number=number,
        rid=rid,
        properties=properties,
        key=key,
        default_ttl=_ttl(properties.get("defaultTtl")),
        unique_keys=_unique_keys(properties),
        indexing=read_indexing(indexing),
        vectors=vectors,
        texts=read_texts(properties, indexing),
        computed=read_computed(properties),
    )


def _check_inert(properties: Document) -> None:
    """Accept of what has no effect here only the values that have none in the service either."""
    allowed = {"mode", "conflictResolutionPath", "conflictResolutionProcedure"}
    given = properties.get("conflictResolutionPolicy") or {}
    policy = check_members(given, "conflictResolutionPolicy", allowed)
    # with one region there are no conflicts to resolve
    if (
        policy.get("mode", "LastWriterWins") != "LastWriterWins"
        or policy.get("conflictResolutionPath") not in (None, "", "/_ts")
        or policy.get("conflictResolutionProcedure")
    ):
        raise bad_request("The conflictResolutionPolicy can only be LastWriterWins by /_ts here.")
    if properties.get("analyticalStorageTtl") not in (None, 0):
        raise bad_request("There is no analytical storage here: analyticalStorageTtl can be 0.")
    if properties.get("geospatialConfig") not in (None, {"type": "Geography"}):
        raise bad_request("The geospatialConfig can only be of type Geography here.")
    given = properties.get("changeFeedPolicy") or {}
    feed = check_members(given, "changeFeedPolicy", {"retentionDuration"})
    if feed.get("retentionDuration") not in (None, 0):
        raise bad_request("The change feed of all versions and deletes is not supported here.")


def _ttl(ttl: Value) -> int | None:
    if ttl is None:
        return None
    if not is_number(ttl) or ttl != int(ttl) or not (ttl == -1 or 0 < ttl <= MAX_TTL):
        raise bad_request("The defaultTtl must be -1 or a positive 32-bit integer.")
    return int(ttl)


def _unique_keys(properties: Document) -> tuple[tuple[Path, ...], ...]:
    policy = properties.get("uniqueKeyPolicy") or {}
    check_members(policy, "uniqueKeyPolicy", {"uniqueKeys"})
    return tuple(_unique_key(key) for key in objects_in(policy, "uniqueKeys"))


def _unique_key(key: Document) -> tuple[Path, ...]:
    check_members(key, "unique key", {"paths"})
    paths = key.get("paths")
    if not isinstance(paths, list) or not paths or not all(isinstance(p, str) for p in paths):
        raise bad_request("The paths of a unique key must be a list of strings.")
    parsed = tuple(map(parse_path, paths))
    if not all(parsed) or any("*" in path or "[]" in path for path in parsed):
        raise bad_request("The paths of a unique key must not have wildcards.")
    return parsed
