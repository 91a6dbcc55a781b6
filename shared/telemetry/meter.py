"""A meter of what one request or run uses, filled where calls leave the process."""

from contextvars import ContextVar
from dataclasses import dataclass

from shared.domain.spending import NOTHING, Spending


@dataclass(slots=True)
class Meter:
    """Calls, request units and tokens of one request or run and of the tasks that it starts.

    `is_work` means that it stored a turn or did background work. `recorded` is what was written
    in the same batch, `unconfirmed` what a batch without a response may have written, and
    `counted` what the counters of the day have been given.
    """

    cosmos_calls: int = 0
    redis_calls: int = 0
    request_units: float = 0.0
    turns: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    embedding_tokens: int = 0
    is_work: bool = False
    turns_in_progress: int = 0
    recorded: Spending = NOTHING
    unconfirmed: Spending = NOTHING
    counted: Spending = NOTHING

    @property
    def spending(self) -> Spending:
        """Everything that was spent so far."""
        return Spending(
            turns=self.turns,
            model_calls=self.model_calls,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cached_tokens=self.cached_tokens,
            embedding_tokens=self.embedding_tokens,
            request_units=self.request_units,
        )

    def record(self, spent: Spending) -> None:
        """Note that this was written together with a turn or with the result of a run."""
        self.is_work = True
        self.turns += spent.turns
        self.recorded += spent
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
