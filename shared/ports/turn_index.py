"""Where turns are found by what was said in them."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.ids import UserId
from shared.domain.ranking import FoundTurn, Place
from shared.domain.vectors import Vector


class TurnIndex(Protocol):
    """Finds turns of one user, of all sessions. Nothing is written.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def find_by_words(self, user: UserId, words: Sequence[str]) -> Sequence[FoundTurn]:
        """Turns with at least one of up to ten words, the best first, at most forty."""
        ...

    async def find_by_meaning(self, user: UserId, vector: Vector) -> Sequence[FoundTurn]:
        """Turns by their similarity to a vector of the same model, the most similar first, at most forty."""
        ...

    async def read_around(self, user: UserId, places: Sequence[Place]) -> Sequence[FoundTurn]:
        """The turns right before and after up to eight places, in no order."""
        ...
