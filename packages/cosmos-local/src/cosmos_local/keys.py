"""Partition keys: how a container defines them, where they hash to, which ranges they form."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

from cosmos_local.errors import PARTITION_KEY_MISMATCH, Refusal, bad_request
from cosmos_local.values import Document, Undefined, Value, canonical, dig, dump, is_number, load

Path: TypeAlias = tuple[str, ...]
MAX_KEY_BYTES = 2048
MAX_LEVELS = 3
COMPLETING_SPLIT = 1002
ETAG = '"ranges-never-change"'
_HASHES = 0x40 << 120  # hashes by version 2 lie below
_HASHES_V1 = 2**32


@dataclass(frozen=True)
class KeyDefinition:
    """The partition key of a container; `ranges` is how many ranges its hashes are divided into."""

    paths: tuple[Path, ...]
    kind: str
    version: int
    range_count: int

    def of(self, document: Document) -> list[Value]:
        """Return a document's key; a part that is missing, or not a scalar, is `{}` on the wire."""
        parts = [dig(document, path) for path in self.paths]
        return [{} if isinstance(part, Undefined | dict | list) else part for part in parts]

    def parse(self, header: str) -> list[Value]:
        """Read the partition key header; it may be a prefix of a hierarchical key."""
        key = load(header)
        if not isinstance(key, list) or not all(_is_part(part) for part in key):
            raise bad_request("The partition key supplied in x-ms-partitionkey header is invalid.")
        if len(key) > len(self.paths):
            raise key_incomplete()
        if len(dump(key).encode()) > MAX_KEY_BYTES:
            raise bad_request("The partition key value must not exceed 2048 bytes.")
        return key

    def hash(self, key: list[Value]) -> str:
        """Return the hash that places a key on a range, by the SDK's own algorithm."""
        return _hash(self.kind, self.version, canonical(key))

    @cached_property
    def ranges(self) -> tuple[tuple[str, str], ...]:
        """Return the bounds of the ranges; the last one is open."""
        count = self.range_count
        bounds = [_bound(self, number) for number in range(1, count)]
        return tuple(zip(["", *bounds], [*bounds, "FF"], strict=True))

    def range_of(self, number: str) -> tuple[str, str]:
        """Return the hashes a range covers, or answer 410 as for a range that was split."""
        if not number.isdigit() or int(number) >= len(self.ranges):
            raise Refusal(410, f"The partition key range '{number}' is gone.", COMPLETING_SPLIT)
        return self.ranges[int(number)]

    def list_ranges(self, container_rid: str) -> list[Document]:
        """Describe the ranges as the service does."""
        return [
            {
                "_rid": f"{container_rid}{number}",
                "id": str(number),
                "_etag": ETAG,
                "minInclusive": low,
                "maxExclusive": high,
                "ridPrefix": number,
                "_self": "",
                "throughputFraction": round(1 / len(self.ranges), 2),
                "status": "online",
                "parents": [],
            }
            for number, (low, high) in enumerate(self.ranges)
        ]


def define_key(properties: Document, range_count: int) -> KeyDefinition:
    """Check a container's partitionKey property."""
    key = properties.get("partitionKey")
    if not isinstance(key, dict) or key.keys() - {"paths", "kind", "version", "systemKey"}:
        raise bad_request("The partition key definition is invalid or missing.")
    texts = key.get("paths")
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise bad_request("The partitionKey paths must be a list of strings.")
    paths = tuple(map(parse_path, texts))
    kind, version = key.get("kind", "Hash"), key.get("version", 2)
    single = kind == "Hash" and len(paths) == 1
    several = kind == "MultiHash" and len(paths) <= MAX_LEVELS and version != 1
    if not (single or several) or version not in (1, 2) or not all(paths):
        raise bad_request(
            "The partition key definition is invalid: it is a Hash of one path, version 1 or 2, "
            "or a MultiHash of up to three paths, version 2."
        )
    if any("*" in path or "[]" in path for path in paths):
        raise bad_request("The partition key paths must not have wildcards.")
    return KeyDefinition(paths, str(kind), int(str(version)), range_count)


def parse_path(text: str) -> Path:
    r"""Split "/a/\"b c\"/d" into its names."""
    names: list[str] = []
    rest = text
    while rest.startswith("/") and rest != "/":
        quote = rest[1:2] if rest[1:2] in ('"', "'") else ""
        end = rest.find(quote, 2) if quote else rest.find("/", 1)
        end = len(rest) if end < 0 and not quote else end
        if end < 0:
            raise bad_request(f"The path '{text}' has an unbalanced quote.")
        names.append(rest[2:end] if quote else rest[1:end])
        rest = rest[end + 1 :] if quote else rest[end:]
    if rest not in ("", "/") or "" in names or not text:
        raise bad_request(f"The path '{text}' is invalid; it must start with '/'.")
    return tuple(names)


def key_mismatch() -> Exception:
    """Refuse a partition key that is not the document's."""
    message = "PartitionKey extracted from document doesn't match the one specified in the header."
    return bad_request(message, PARTITION_KEY_MISMATCH)


def key_incomplete() -> Exception:
    """Refuse a partition key that has not as many parts as the container's."""
    message = (
        "Partition key provided either doesn't correspond to definition in the collection or "
        "doesn't match partition key field values specified in the document."
    )
    return bad_request(message, PARTITION_KEY_MISMATCH)


@lru_cache(maxsize=10_000)
def _hash(kind: str, version: int, key: str) -> str:
    # imported late: it takes a third of a second, and no other part of a server needs it
    from azure.cosmos.partition_key import PartitionKey, _Undefined  # noqa: PLC0415

    parts = load(key)
    components = [_component(part, _Undefined) for part in parts]  # type: ignore[attr-defined]
    hashed = PartitionKey._get_hashed_partition_key_string(  # noqa: SLF001 - one hash, the SDK's
        components,  # type: ignore[arg-type]  # checked when the key was parsed
        kind,
        version,
    )
    return str(hashed).upper()  # of version 1, the SDK writes some in lower case


def _component(part: Value, undefined: type[object]) -> Value:
    """Return a part as the SDK hashes it; numbers are doubles, as they are in the service."""
    if part == {}:
        return undefined()
    return float(part) if is_number(part) else part


def _bound(key: KeyDefinition, number: int) -> str:
    if key.version == 1:
        return _encode_v1(float(_HASHES_V1 * number // key.range_count))
    return f"{(_HASHES * number // key.range_count) & ~0xF:032X}"


def _encode_v1(number: float) -> str:
    from azure.cosmos.partition_key import _to_hex_encoded_binary_string_v1  # noqa: PLC0415

    return str(_to_hex_encoded_binary_string_v1([number])).upper()


def _is_part(part: Value) -> bool:
    return part == {} or part is None or isinstance(part, str | int | float)
