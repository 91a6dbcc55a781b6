"""Spending: what models and Cosmos DB were asked to do for a user."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import add, sub
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Turns that were stored, calls and tokens of models, and request units of Cosmos DB."""

    turns: int = 0
    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    embedding_tokens: int = 0
    request_units: float = 0.0

    def __add__(self, other: "Spending") -> "Spending":
        """Both together."""
        return self._combine(add, other)

    def __sub__(self, other: "Spending") -> "Spending":
        """What this exceeds the other by."""
        return self._combine(sub, other)

    def _combine(self, by: Callable[[Any, Any], Any], other: "Spending") -> "Spending":
        names = (each.name for each in fields(self))
        return Spending(**{name: by(getattr(self, name), getattr(other, name)) for name in names})


NOTHING = Spending()
