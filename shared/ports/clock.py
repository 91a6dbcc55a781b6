"""The time."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time, as the app tells it. Order never depends on it; expiry and display do."""

    def now(self) -> datetime:
        """The current time in UTC."""
        ...
