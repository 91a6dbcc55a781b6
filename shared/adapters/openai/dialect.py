"""What a provider does not support, learned from its first rejection and remembered."""

from dataclasses import dataclass, field
from typing import Any

WORDS = {"response_format": ("response_format", "json_schema", "structured output")}
RENAMED = {"max_completion_tokens": "max_tokens"}  # the older name, which every provider knows


@dataclass(slots=True)
class Dialect:
    """The optional parameters that one provider has rejected; one per worker and endpoint."""

    optional: frozenset[str]
    rejected: set[str] = field(default_factory=set)

    def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        """The request body in this provider's dialect."""
        spoken = {name: value for name, value in body.items() if name not in self.rejected}
        for name in self.rejected & RENAMED.keys() & body.keys():
            spoken[RENAMED[name]] = body[name]
        return spoken

    def learn(self, body: dict[str, Any], complaint: str) -> bool:
        """Note which parameter of the body a rejection is about; False if it is about none."""
        known = [name for name in self.optional - self.rejected if name in body]
        named = {name for name in known if any(word in complaint for word in _words(name))}
        self.rejected |= named
        return bool(named)


def _words(name: str) -> tuple[str, ...]:
    """The words by which providers complain about a parameter."""
    return WORDS.get(name, (name,))
