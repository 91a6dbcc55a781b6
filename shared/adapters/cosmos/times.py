"""Times in Cosmos DB items: timestamps and times to live."""

import math
from datetime import UTC, datetime

from shared.domain.sessions import Header


def write_time(moment: datetime) -> str:
    """Format a time as RFC 3339 in UTC, to the microsecond, so that texts sort like times."""
    utc = moment.astimezone(UTC).isoformat(timespec="microseconds")  # pads the year, too
    return f"{utc.removesuffix('+00:00')}Z"


def read_time(text: str) -> datetime:
    """Parse a time that `write_time` formatted."""
    return datetime.fromisoformat(text)


def ttl_until(expires_at: datetime, now: datetime) -> int:
    """Whole seconds from now until then, at least 1; Cosmos DB counts from the write."""
    return max(1, math.ceil((expires_at - now).total_seconds()))


def remaining_ttl(header: Header, now: datetime) -> dict[str, int]:
    """The `ttl` field to set with a write, which restarts it; empty if the header has no expiry."""
    return {"ttl": ttl_until(header.expires_at, now)} if header.expires_at else {}
