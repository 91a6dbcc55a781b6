"""What services ask of the machine: the time, and whether a dependency answers."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time as the app sees it. Order never depends on it; expiry and display do."""

    def now(self) -> datetime:
        """The current time in UTC."""
        ...


class Pingable(Protocol):
    """A dependency that can be asked whether it is available."""

    name: str

    async def ping(self) -> None:
        """Return if the dependency answers; raise anything if it does not."""
        ...
