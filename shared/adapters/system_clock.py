"""The time of this machine."""

from datetime import UTC, datetime


class SystemClock:
    """Tells the time in UTC."""

    def now(self) -> datetime:
        """The current time."""
        return datetime.now(UTC)
