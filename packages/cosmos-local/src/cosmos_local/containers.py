"""What a container's definition says about its documents."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from azure.cosmos.partition_key import PartitionKey, _Undefined

from cosmos_local.errors import PARTITION_KEY_MISMATCH, bad_request
from cosmos_local.values import Document, Undefined, Value, canonical, dig, dump, load

Path: TypeAlias = tuple[str, ...]
DEFAULT_INDEXING: Document = {
    "indexingMode": "consistent",
    "automatic": True,
    "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}
MAX_PARTITION_KEY_BYTES = 2048
_MAX_LEVELS = 3


@dataclass(frozen=True, slots=True)
class VectorPolicy:
    """What may be stored at a vector path, and how distances are measured."""

    path: Path
    dimensions: int
    function: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A container as the gateway sees it: its number in storage and its parsed policies."""

    number: int
    rid: str
    properties: Document = field(compare=False)
    key_paths: tuple[Path, ...]
    key_kind: str
    key_version: int
    default_ttl: int | None
    unique_keys: tuple[tuple[Path, ...], ...]
    composites: tuple[tuple[tuple[Path, bool], ...], ...]
    vectors: tuple[VectorPolicy, ...]
    texts: tuple[Path, ...]
    text_indexes: frozenset[Path]

    @property
    def loose_vectors(self) -> tuple[str, ...]:
        """Return the top-level vector properties, which storage keeps beside the body."""
        return tuple(policy.path[0] for policy in self.vectors if len(policy.path) == 1)

    def key_of(self, document: Document) -> list[Value]:
        """Return the partition key a document carries; a missing part is `{}`, as on the wire."""
        parts = [dig(document, path) for path in self.key_paths]
        return [{} if isinstance(part, Undefined) else part for part in parts]

    def is_indexed(self, path: Path) -> bool:
        """Tell whether the range index holds the property; the most precise path of the policy decides."""
        policy = self.properties["indexingPolicy"]
        if not isinstance(policy, dict) or policy.get("indexingMode") == "none":
            return False
        if path in (("id",), ("_ts",)):
            return True
        included = _precision(policy.get("includedPaths"), path)
        return included > _precision(policy.get("excludedPaths"), path)


def define(number: int, rid: str, properties: Document) -> Definition:
    """Check a container's properties as the service would, and parse them."""
    key = _object(properties.get("partitionKey"), "partitionKey")
    paths = tuple(map(parse_path, _strings(key.get("paths"), "partitionKey paths")))
    kind, version = key.get("kind", "Hash"), key.get("version", 2)
    if (
        kind not in ("Hash", "MultiHash")
        or (kind == "Hash" and len(paths) != 1)
        or len(paths) > _MAX_LEVELS
    ):
        raise bad_request("The partition key definition is invalid.")
    indexing = _object(properties.get("indexingPolicy"), "indexingPolicy")
    vectors = _vectors(properties, indexing, paths)
    return Definition(
        number=number,
        rid=rid,
        properties=properties,
        key_paths=paths,
        key_kind=str(kind),
        key_version=version if isinstance(version, int) else 2,
        default_ttl=_ttl(properties),
        unique_keys=_unique_keys(properties),
        composites=_composites(indexing),
        vectors=vectors,
        texts=_texts(properties),
        text_indexes=frozenset(_paths_in(indexing.get("fullTextIndexes"))),
    )


def parse_path(text: str) -> Path:
    r"""Split "/a/\"b c\"/d" into its names."""
    if not text.startswith("/"):
        raise bad_request(f"The path '{text}' must start with '/'.")
    return tuple(quoted or plain for quoted, plain in re.findall(r'/(?:"([^"]*)"|([^/"]+))', text))


def parse_key(definition: Definition, header: str) -> list[Value]:
    """Read the partition key header."""
    key = load(header)
    if not isinstance(key, list) or not all(_is_key_part(part) for part in key):
        raise bad_request("The partition key supplied in x-ms-partitionkey header is invalid.")
    if len(key) > len(definition.key_paths):
        raise key_mismatch()
    return key


def key_mismatch() -> Exception:
    """Refuse a partition key that does not fit the container or the document."""
    message = (
        "PartitionKey extracted from document doesn't match the one specified in the header, "
        "or doesn't correspond to the container's definition."
    )
    return bad_request(message, PARTITION_KEY_MISMATCH)


def check_key(key: list[Value]) -> None:
    """Refuse a partition key that is not made of strings, numbers, booleans and null, or is too long."""
    if not all(_is_key_part(part) for part in key):
        raise key_mismatch()
    if len(dump(key).encode()) > MAX_PARTITION_KEY_BYTES:
        raise bad_request("The partition key value must not exceed 2048 bytes.")


def effective_key(definition: Definition, key: list[Value]) -> str:
    """Return the hash that places a partition key on a range, by the SDK's own algorithm."""
    return _effective_key(
        definition.key_paths, definition.key_kind, definition.key_version, canonical(key)
    )


@lru_cache(maxsize=10_000)
def _effective_key(paths: tuple[Path, ...], kind: str, version: int, key: str) -> str:
    names = ["/" + "/".join(path) for path in paths]
    if kind == "MultiHash":
        hasher = PartitionKey(path=names, kind="MultiHash", version=version)
    else:
        hasher = PartitionKey(path=names[0], kind="Hash", version=version)
    parts = load(key)
    components = (
        [_Undefined() if part == {} else part for part in parts] if isinstance(parts, list) else []
    )
    return str(hasher._get_effective_partition_key_string(components))  # noqa: SLF001 - one hash, the SDK's


def _is_key_part(part: Value) -> bool:
    return part == {} or part is None or isinstance(part, str | int | float)


def _precision(entries: Value, path: Path) -> float:
    """Return how precisely a list of index paths covers a scalar at `path`; -1 when not at all."""
    best = -1.0
    for entry in entries if isinstance(entries, list) else []:
        text = str(entry.get("path", "")) if isinstance(entry, dict) else ""
        *prefix, last = parse_path(text) or ("?",)
        if last == "?" and tuple(prefix) == path:
            best = max(best, len(prefix) + 0.5)
        elif last == "*" and path[: len(prefix)] == tuple(prefix):
            best = max(best, len(prefix))
    return best


def _ttl(properties: Document) -> int | None:
    ttl = properties.get("defaultTtl")
    if ttl is None:
        return None
    if not isinstance(ttl, int) or isinstance(ttl, bool) or not (ttl == -1 or 0 < ttl <= 2**31 - 1):
        raise bad_request("The defaultTtl must be -1 or a positive 32-bit integer.")
    return ttl


def _unique_keys(properties: Document) -> tuple[tuple[Path, ...], ...]:
    policy = properties.get("uniqueKeyPolicy") or {}
    keys = _object(policy, "uniqueKeyPolicy").get("uniqueKeys", [])
    if not isinstance(keys, list):
        raise bad_request("The uniqueKeyPolicy is invalid.")
    return tuple(
        tuple(map(parse_path, _strings(_object(key, "unique key").get("paths"), "paths")))
        for key in keys
    )


def _composites(indexing: Document) -> tuple[tuple[tuple[Path, bool], ...], ...]:
    indexes = indexing.get("compositeIndexes", [])
    if not isinstance(indexes, list):
        raise bad_request("The compositeIndexes are invalid.")
    return tuple(
        tuple(
            (parse_path(str(part["path"])), part.get("order", "ascending") == "descending")
            for part in index
        )
        for index in indexes
    )


def _vectors(
    properties: Document, indexing: Document, key_paths: tuple[Path, ...]
) -> tuple[VectorPolicy, ...]:
    policy = _object(properties.get("vectorEmbeddingPolicy") or {}, "vectorEmbeddingPolicy")
    entries = policy.get("vectorEmbeddings", [])
    if not isinstance(entries, list):
        raise bad_request("The vectorEmbeddingPolicy is invalid.")
    vectors = tuple(map(_vector, entries))
    paths = [vector.path for vector in vectors]
    if len(set(paths)) < len(paths) or set(paths) & set(key_paths):
        raise bad_request("A vector path is named twice or is the partition key.")
    for path in _paths_in(indexing.get("vectorIndexes")):
        if path not in paths:
            raise bad_request(
                f"The vector index path '/{'/'.join(path)}' is not in the vector embedding policy."
            )
    return vectors


def _vector(entry: Value) -> VectorPolicy:
    vector = _object(entry, "vector embedding")
    dimensions, function = vector.get("dimensions"), vector.get("distanceFunction")
    if not isinstance(dimensions, int) or not 1 <= dimensions <= 4096:  # noqa: PLR2004 - the service's limit
        raise bad_request("A vector embedding needs dimensions between 1 and 4096.")
    if function not in ("cosine", "dotproduct", "euclidean"):
        raise bad_request(
            "A vector embedding needs the distanceFunction cosine, dotproduct or euclidean."
        )
    if vector.get("dataType") not in ("float32", "float16", "int8", "uint8"):
        raise bad_request("A vector embedding needs the dataType float32, float16, int8 or uint8.")
    return VectorPolicy(parse_path(str(vector.get("path"))), dimensions, str(function))


def _texts(properties: Document) -> tuple[Path, ...]:
    policy = _object(properties.get("fullTextPolicy") or {}, "fullTextPolicy")
    entries = policy.get("fullTextPaths") or []
    for entry in [policy, *(entries if isinstance(entries, list) else [])]:
        language = entry.get("language", entry.get("defaultLanguage", "en-US"))
        if language != "en-US":
            raise bad_request(
                f"The full-text language '{language}' is not supported here; use en-US."
            )
    return tuple(_paths_in(entries))


def _paths_in(entries: Value) -> list[Path]:
    if not isinstance(entries, list | None):
        raise bad_request("A list of index paths is invalid.")
    return [parse_path(str(_object(entry, "index").get("path"))) for entry in entries or []]


def _object(value: Value, name: str) -> Document:
    if not isinstance(value, dict):
        raise bad_request(f"The {name} is invalid or missing.")
    return value


def _strings(value: Value, name: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise bad_request(f"The {name} must be a list of strings.")
    return value
