"""Commits: a turn on its way into the store, and how that may end."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from shared.domain.turns import Turn
from shared.domain.vectors import Vector


@dataclass(frozen=True, slots=True)
class Draft:
    """A turn to be committed, with its vector if there is one, and when its session is due to be consolidated."""

    turn: Turn
    vector: Vector | None
    due_at: datetime | None

    def at(self, seq: int) -> Self:
        """The same, in this place of the session."""
        return replace(self, turn=replace(self.turn, seq=seq))


@dataclass(frozen=True, slots=True)
class Committed:
    """The batch is in: the turn has its seq."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """A turn of this id was committed before."""


@dataclass(frozen=True, slots=True)
class HeaderMoved:
    """The header no longer has the gen and count the batch was made for, or is gone."""


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """No answer came; the batch may or may not be in."""


CommitOutcome = Committed | AlreadyThere | HeaderMoved | OutcomeUnknown
