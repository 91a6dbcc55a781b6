"""A ledger of what callers sent and received, which transcripts are audited against."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A turn's position and reply in one response."""

    seq: int
    reply: str


class Ledger:
    """All turns that were sent, all answers to them, and all errors; one session per user."""

    def __init__(self) -> None:
        """Start empty."""
        self.sent: dict[str, set[str]] = defaultdict(set)
        self.answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self.errors: Counter[str] = Counter()

    def audit(self, user: str, transcript: Sequence[Mapping[str, Any]]) -> Counter[str]:
        """Count the mistakes in a user's transcript, by kind."""
        ids = [turn["turn_id"] for turn in transcript]
        answered = {turn for name, turn in self.answers if name == user}
        seqs = [turn["seq"] for turn in transcript]
        return Counter(
            lost=len(answered - set(ids)),
            duplicated=len(ids) - len(set(ids)),
            unknown=len(set(ids) - self.sent[user]),
            misplaced=sum(seq != expected for expected, seq in enumerate(seqs, start=1)),
            changed=sum(not self._matches_answers(user, turn) for turn in transcript),
        )

    def _matches_answers(self, user: str, turn: Mapping[str, Any]) -> bool:
        stored = Answer(turn["seq"], str(turn["messages"][-1]["content"]))
        return all(answer == stored for answer in self.answers.get((user, turn["turn_id"]), ()))


def quantile(times: Iterable[float], share: float) -> float:
    """Return the time that this share of the times stays below; NaN if there are none."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
