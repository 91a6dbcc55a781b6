"""A meter of what one request or run uses, filled where calls leave the process."""

from contextvars import ContextVar
from dataclasses import dataclass

from shared.domain.spending import NOTHING, Spending


@dataclass(slots=True)
class Meter:
    """What one request or run has `spent`, with the tasks that it starts, and its calls.

    `is_work` means that it stored a turn or did background work. `recorded` is what was written
    in the same batch, `unconfirmed` what a batch without a response may have written, and
    `counted` what the counters of the day have been given.
    """

    cosmos_calls: int = 0
    redis_calls: int = 0
    spent: Spending = NOTHING
    is_work: bool = False
    turns_in_progress: int = 0
    recorded: Spending = NOTHING
    unconfirmed: Spending = NOTHING
    counted: Spending = NOTHING

    def spend(self, more: Spending) -> None:
        """Add what a call has cost."""
        self.spent += more

    def record(self, batch: Spending) -> None:
        """Note that this was written together with a turn or with the result of a run."""
        self.is_work = True
        self.spent += Spending(turns=batch.turns)
        self.recorded += batch
        self.unconfirmed = NOTHING

    def confirm(self) -> None:
        """Note that the batch without a response was applied."""
        if self.unconfirmed != NOTHING:
            self.record(self.unconfirmed)


_current: ContextVar[Meter | None] = ContextVar("meter", default=None)


def start_meter() -> Meter:
    """Start a new meter for this context and for all tasks created in it from now on."""
    meter = Meter()
    _current.set(meter)
    return meter


def current_meter() -> Meter:
    """The request's meter; outside of a request, one that is discarded."""
    return _current.get() or Meter()
