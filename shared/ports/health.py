"""Whether what the app depends on is there."""

from typing import Protocol


class Pingable(Protocol):
    """A dependency that can say whether it is there."""

    name: str

    async def ping(self) -> None:
        """Return when the dependency answers; raise anything when it does not."""
        ...
