"""The partition key ranges every container has, so that the SDKs' client-side merge has something to merge."""

from __future__ import annotations

from cosmos_local.errors import Refusal
from cosmos_local.values import Document

# The hashes of keys start with 00 to 3F; the bounds cut them in four.
RANGES = (("", "10"), ("10", "20"), ("20", "30"), ("30", "FF"))
ETAG = '"ranges-never-change"'
COMPLETING_SPLIT = 1002


def range_of(number: str) -> tuple[str, str]:
    """Return the hashes a range covers, or answer 410 as for a range that was split."""
    if not number.isdigit() or int(number) >= len(RANGES):
        raise Refusal(410, f"The partition key range '{number}' is gone.", COMPLETING_SPLIT)
    return RANGES[int(number)]


def list_ranges(container_rid: str) -> list[Document]:
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
            "throughputFraction": round(1 / len(RANGES), 2),
            "status": "online",
            "parents": [],
        }
        for number, (low, high) in enumerate(RANGES)
    ]
