"""Which part of a container a request is about, as its headers say."""

from __future__ import annotations

from cosmos_local.containers import Definition, effective_key, key_mismatch, parse_key
from cosmos_local.errors import bad_request
from cosmos_local.ranges import RANGES, range_of
from cosmos_local.storage import Area
from cosmos_local.values import Value, canonical, load
from cosmos_local.wire import WireRequest

KEY = "x-ms-documentdb-partitionkey"
RANGE = "x-ms-documentdb-partitionkeyrangeid"
FROM, TO = "x-ms-start-epk", "x-ms-end-epk"


def key_of(request: WireRequest, definition: Definition) -> list[Value]:
    """Return the whole partition key, without which no item can be addressed."""
    header = request.headers.get(KEY)
    if header is None:
        raise bad_request("PartitionKey value must be supplied for this operation.")
    key = parse_key(definition, header)
    if len(key) != len(definition.key_paths):
        raise key_mismatch()
    return key


def area_of(request: WireRequest, definition: Definition) -> Area:
    """Return the partition, range of hashes or partition key range the request names, or the whole container."""
    if KEY in request.headers:
        return Area(definition.number, canonical(key_of(request, definition)))
    if FROM in request.headers:
        return Area(definition.number, None, request.headers[FROM], request.headers.get(TO, "FF"))
    if RANGE in request.headers:
        return Area(definition.number, None, *range_of(request.headers[RANGE]))
    return Area(definition.number)


def ranges_of(area: Area, definition: Definition) -> list[int]:
    """Return the numbers of the partition key ranges an area lies in."""
    if area.partition is None:
        return [
            number
            for number, (low, high) in enumerate(RANGES)
            if area.epk_from < high and low < area.epk_to
        ]
    key = load(area.partition)
    epk = effective_key(definition, key if isinstance(key, list) else [])
    return [number for number, (low, high) in enumerate(RANGES) if low <= epk < high]


def is_everywhere(request: WireRequest) -> bool:
    """Tell whether the request names no part of the container; a query must then say that it means it."""
    return not any(header in request.headers for header in (KEY, FROM, RANGE))
