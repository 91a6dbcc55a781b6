"""A clock that tests can move forward."""

from __future__ import annotations

import time


class Clock:
    """The time by which items expire and are stamped."""

    def __init__(self) -> None:
        """Start at the real time."""
        self._ahead = 0.0

    def now(self) -> float:
        """Return the seconds since the epoch, plus what the clock was advanced by."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move forward; time never goes back, as ETags and change numbers do not."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self._ahead += seconds
