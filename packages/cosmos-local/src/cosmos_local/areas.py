"""Which part of a container a request is about, as its headers say."""

from __future__ import annotations

from cosmos_local.containers import Definition
from cosmos_local.errors import bad_request
from cosmos_local.keys import key_incomplete
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
    key = definition.key.parse(header)
    if len(key) != len(definition.key.paths):
        raise key_incomplete()
    return key


def area_of(request: WireRequest, definition: Definition) -> Area:
    """Return what the request names: a partition, hashes, a range, or the whole container."""
    if KEY in request.headers:
        key = definition.key.parse(request.headers[KEY])
        if 0 < len(key) < len(definition.key.paths):
            prefix = definition.key.hash(key)
            return Area(definition.number, None, prefix, f"{prefix}FF")
        if RANGE in request.headers:  # a part of a plan: the key's range has it, the others nothing
            low, high = definition.key.range_of(request.headers[RANGE])
            if not low <= definition.key.hash(key) < high:
                return Area(definition.number, None, "", "")
        return Area(definition.number, canonical(key_of(request, definition)))
    if FROM in request.headers:
        return Area(definition.number, None, request.headers[FROM], request.headers.get(TO, "FF"))
    if RANGE in request.headers:
        return Area(definition.number, None, *definition.key.range_of(request.headers[RANGE]))
    return Area(definition.number)


def ranges_of(area: Area, definition: Definition) -> list[int]:
    """Return the numbers of the partition key ranges an area overlaps."""
    if area.partition is None:
        return [
            number
            for number, (low, high) in enumerate(definition.key.ranges)
            if area.epk_from < high and low < area.epk_to
        ]
    key = load(area.partition)
    epk = definition.key.hash(key if isinstance(key, list) else [])
    ranges = enumerate(definition.key.ranges)
    return [number for number, (low, high) in ranges if low <= epk < high]


def is_component(request: WireRequest) -> bool:
    """Tell whether the request is about a range, as the parts of a query plan are."""
    return FROM in request.headers or RANGE in request.headers


def is_everywhere(request: WireRequest) -> bool:
    """Tell whether the request names no part of the container; a query must say it means it."""
    return not any(header in request.headers for header in (KEY, FROM, RANGE))
