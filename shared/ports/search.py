"""Search over a user's turns, and the vectors that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import TurnId, UserId
from shared.domain.recall.ranking import FoundTurn, Place
from shared.domain.sessions import Header
from shared.domain.vectors import Vector


class TurnIndex(Protocol):
    """Finds turns of one user, across all sessions. Read-only.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def find_by_keywords(self, user: UserId, words: Sequence[str]) -> Sequence[FoundTurn]:
        """Turns that contain at least one of up to ten words, best first, at most forty."""
        ...

    async def find_by_meaning(self, user: UserId, vector: Vector) -> Sequence[FoundTurn]:
        """Turns by their similarity to a vector of the same model, best first, at most forty."""
        ...

    async def read_around(self, user: UserId, places: Sequence[Place]) -> Sequence[FoundTurn]:
        """The turns right before and after up to eight places, in no order."""
        ...


@dataclass(frozen=True, slots=True)
class TurnWithoutVector:
    """A turn that only keyword search finds, and the text to embed for it.

    `bytes_without` is the size of the stored turn; None if it is unknown or includes a vector.
    """

    turn_id: TurnId
    text: str
    expires_at: datetime
    bytes_without: int | None


class VectorStore(Protocol):
    """Adds vectors to turns that were stored without one.

    Raises StoreUnavailable if the store does not answer, Busy if it has no request units left.
    """

    async def find_unembedded(
        self, user: UserId, header: Header, model: str, after_seq: int
    ) -> Sequence[TurnWithoutVector]:
        """Turns past `after_seq` without a vector of this model, at most 32, in no order."""
        ...

    async def add_vectors(
        self, user: UserId, header: Header, vectors: Mapping[TurnWithoutVector, Vector]
    ) -> bool:
        """Add all vectors; or none, and return False, if a turn has gone or ends earlier now.

        Idempotent: the same vectors are set again. Nothing that was deleted comes back, and no
        turn lives longer for it.
        """
        ...
