"""How a batch with a condition may end."""

from dataclasses import dataclass


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
