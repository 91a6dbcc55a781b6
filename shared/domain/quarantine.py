"""Quarantine: stored texts that no prompt includes, because a provider's filter refuses them."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from shared.domain.ids import Gen, SessionId
from shared.domain.preferences import Preferences

MAX_KEPT = 200  # suspects, and culprits; of more, the newest stay

Source = tuple[str, ...]  # names a stored text, without a word of it
TURN, SUMMARY, PREFERENCE = "turn", "summary", "preference"


def turn_source(session: SessionId, gen: Gen, seq: int) -> Source:
    """A turn, also an excerpt of it."""
    return TURN, session.value, gen.value, str(seq)


def summary_source(text: str) -> Source:
    """A summary with this text, in its own session and in others."""
    return SUMMARY, _digest(text)


def preference_source(key: str, value: JsonValue) -> Source:
    """One preference with this value: another value is another source."""
    return PREFERENCE, _digest([key, value])


@dataclass(frozen=True, slots=True)
class Quarantine:
    """What is left out of the user's prompts.

    The `suspects` were in a prompt that was refused and was accepted without them. The `culprits`
    were refused by themselves.
    """

    suspects: tuple[Source, ...] = ()
    culprits: tuple[Source, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self.suspects or self.culprits)

    def __contains__(self, source: Source) -> bool:
        """Whether this text is left out."""
        return source in self.suspects or source in self.culprits

    @property
    def places(self) -> frozenset[tuple[Gen, int]]:
        """Generation and seq of the turns."""
        sources = (*self.suspects, *self.culprits)
        return frozenset((Gen(one[2]), int(one[3])) for one in sources if one[0] == TURN)

    def suspect(self, sources: Iterable[Source]) -> "Quarantine":
        """Add the sources of a refused prompt."""
        suspects = tuple(dict.fromkeys([*self.suspects, *sources]))
        return replace(self, suspects=suspects[-MAX_KEPT:])

    def settle(self, tested: Collection[Source], culprits: Collection[Source]) -> "Quarantine":
        """Release the tested sources except for the culprits; the others stay suspects."""
        return Quarantine(
            suspects=tuple(source for source in self.suspects if source not in tested),
            culprits=tuple(dict.fromkeys([*self.culprits, *culprits]))[-MAX_KEPT:],
        )

    def without_gen(self, gen: Gen) -> "Quarantine":
        """Drop the turns of one incarnation of a session."""
        return self._keep(lambda source: not (source[0] == TURN and source[2] == gen.value))

    def within(self, preferences: Preferences) -> "Quarantine":
        """Drop preferences that no longer exist with their value."""
        existing = {preference_source(*item) for item in preferences.preferences.items()}
        return self._keep(lambda source: source[0] != PREFERENCE or source in existing)

    def _keep(self, wanted: Callable[[Source], bool]) -> "Quarantine":
        return replace(
            self,
            suspects=tuple(filter(wanted, self.suspects)),
            culprits=tuple(filter(wanted, self.culprits)),
        )


EMPTY = Quarantine()


def _digest(value: JsonValue) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
