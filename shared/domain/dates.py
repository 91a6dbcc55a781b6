"""Dates as a user reads them: in the user's time zone, whatever zone a time was written in."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo


def find_zone(name: object) -> tzinfo | None:
    """The time zone of this IANA name, such as Europe/Berlin; None if there is none."""
    try:
        return ZoneInfo(name) if isinstance(name, str) else None
    except (LookupError, ValueError, OSError):  # unknown, not a name, or a folder of names
        return None


def zone_or_utc(name: object) -> tzinfo:
    """The time zone of this IANA name; UTC if there is none."""
    return find_zone(name) or UTC


def date_text(moment: datetime, zone: tzinfo) -> str:
    """The date of a moment in words: 7 May 2026."""
    local = moment.astimezone(zone)
    return f"{local.day} {local:%B %Y}"
