"""A meter of what one request uses, filled where calls leave the process."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Calls, request units and tokens of one request and of the tasks that it starts."""

    cosmos_calls: int = 0
    redis_calls: int = 0
    request_units: float = 0.0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    embedding_tokens: int = 0


_current: ContextVar[Meter | None] = ContextVar("meter", default=None)


def start_meter() -> Meter:
    """Start a new meter for this context and for all tasks created in it from now on."""
    meter = Meter()
    _current.set(meter)
    return meter


def current_meter() -> Meter:
    """The request's meter; outside of a request, one that is discarded."""
    return _current.get() or Meter()
