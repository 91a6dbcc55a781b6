"""Which turns lack a vector, and where it is put."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.ids import TurnId, UserId
from shared.domain.turns import Header
from shared.domain.vectors import Vector


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A turn that is found by its words only, by the text it is to have a vector of."""

    turn_id: TurnId
    text: str
    expires_at: datetime
    bytes_without: (
        int | None
    )  # of the stored turn; None where they are not known, or had a vector before


class VectorStore(Protocol):
    """Vectors of turns that were stored without.

    Every method raises StoreUnavailable when the store does not answer, and Busy when it has no request units left.
    """

    async def find_unembedded(
        self, user: UserId, header: Header, model: str, after_seq: int
    ) -> Sequence[Unembedded]:
        """Turns of the session with a greater seq, without a vector of this model, at most thirty-two, in no order."""
        ...

    async def keep_vectors(
        self, user: UserId, header: Header, vectors: Mapping[Unembedded, Vector]
    ) -> bool:
        """Give turns their vectors, all or, if one of them is gone or ends earlier meanwhile, none: False.

        Twice is harmless: they are the same. What was deleted is not brought back, and no turn lives longer for it.
        """
        ...
