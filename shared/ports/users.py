"""The user's own document."""

from typing import Protocol

from shared.domain.ids import UserId


class UserStore(Protocol):
    """The user's own document: the epoch that fences what was made before an erase.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def read_epoch(self, user: UserId) -> int:
        """The user's epoch; 0 of a user who has none yet."""
        ...
