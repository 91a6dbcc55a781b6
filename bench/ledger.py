"""What callers sent and were told, and the audit of the transcripts against it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Told:
    """What one answer said of a turn."""

    seq: int
    reply: str


class Ledger:
    """Every turn of every user that was sent, with every answer; one session a user."""

    def __init__(self) -> None:
        """Start empty."""
        self.sent: dict[str, set[str]] = defaultdict(set)
        self.told: dict[tuple[str, str], list[Told]] = defaultdict(list)
        self.errors: Counter[str] = Counter()

    def audit(self, user: str, transcript: Sequence[Mapping[str, Any]]) -> Counter[str]:
        """What is wrong with a user's transcript, by kind."""
        ids = [turn["turn_id"] for turn in transcript]
        answered = {turn for whose, turn in self.told if whose == user}
        seqs = [turn["seq"] for turn in transcript]
        return Counter(
            lost=len(answered - set(ids)),
            doubled=len(ids) - len(set(ids)),
            unknown=len(set(ids) - self.sent[user]),
            misplaced=sum(seq != place for place, seq in enumerate(seqs, start=1)),
            changed=sum(not self._is_as_told(user, turn) for turn in transcript),
        )

    def _is_as_told(self, user: str, turn: Mapping[str, Any]) -> bool:
        stored = Told(turn["seq"], str(turn["messages"][-1]["content"]))
        return all(told == stored for told in self.told.get((user, turn["turn_id"]), ()))


def quantile(times: Iterable[float], share: float) -> float:
    """The time that so many stay below; not a number if there are none."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
