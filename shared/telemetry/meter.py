"""What a request used: counted where calls leave the process, summed up in the request's own context."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Calls, request units and tokens of one request; tasks started by the request add to the same meter."""

    cosmos_calls: int = 0
    redis_calls: int = 0
    request_units: float = 0.0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    embedding_tokens: int = 0


_current: ContextVar[Meter | None] = ContextVar("meter", default=None)


def start_meter() -> Meter:
    """A fresh meter for this context and all tasks made in it from now on."""
    meter = Meter()
    _current.set(meter)
    return meter


def current_meter() -> Meter:
    """The request's meter; outside of a request one that nobody reads."""
    return _current.get() or Meter()
