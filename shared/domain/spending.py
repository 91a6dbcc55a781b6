"""Spending: what models and Cosmos DB were asked to do for a user."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import add, sub


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
        """What this is more than the other."""
        return self._combine(sub, other)

    def _combine(self, by: Callable[[float, float], float], other: "Spending") -> "Spending":
        return Spending(
            turns=int(by(self.turns, other.turns)),
            model_calls=int(by(self.model_calls, other.model_calls)),
            prompt_tokens=int(by(self.prompt_tokens, other.prompt_tokens)),
            completion_tokens=int(by(self.completion_tokens, other.completion_tokens)),
            cached_tokens=int(by(self.cached_tokens, other.cached_tokens)),
            embedding_tokens=int(by(self.embedding_tokens, other.embedding_tokens)),
            request_units=by(self.request_units, other.request_units),
        )


NOTHING = Spending()
