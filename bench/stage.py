"""One stage of bench.load: the measurements with one number of callers, and their row."""

import json
import os
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.ledger import Answer, Ledger, quantile

MODEL_SECONDS = 0.3
DEGRADED = ("window", "session_cache")  # missed concurrent turns; Redis was unavailable
HEADINGS = "clients  turns/s   of max     p50     p99 | hot p50     p99 | cores | CPU ms per turn"
QUANTILES = (0.5, 0.99)


@dataclass(slots=True)
class Stage:
    """What was measured with one number of callers; `times` has the hot user's turns under True."""

    times: dict[bool, list[float]] = field(default_factory=lambda: defaultdict(list))
    usage: list[Mapping[str, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    started: float = float("inf")
    ended: float = 0.0
    cpu: float = 0.0

    def read(self, lines: Iterable[str], ledger: Ledger) -> None:
        """Read what the callers noted: measurements into the stage, the rest into the ledger."""
        for line in lines:
            note = json.loads(line)
            match note["what"]:
                case "sent":
                    ledger.sent[note["user"]].add(note["turn"])
                case "answer":
                    body = note["answer"]
                    answer = Answer(body["seq"], body["reply"])
                    ledger.answers[note["user"], note["turn"]].append(answer)
                    self._count(body)
                case "finished":
                    self._time(note)
                case "error":
                    ledger.errors[note["kind"]] += 1
                case "cpu":
                    self.cpu += note["seconds"]

    def _count(self, answer: Mapping[str, Any]) -> None:
        self.counts.update(replayed=int(answer["replayed"]))
        self.counts.update(answer["degraded"])
        if not answer["replayed"] and not answer["degraded"]:
            self.usage.append(answer["usage"])

    def _time(self, turn: Mapping[str, Any]) -> None:
        self.counts["turns"] += 1
        self.started, self.ended = min(self.started, turn["start"]), max(self.ended, turn["end"])
        if not turn["duplicated"]:
            self.times[turn["hot"]].append((turn["end"] - turn["start"]) * 1000)


def print_row(clients: int, stage: Stage, cpu: Mapping[str, float]) -> None:
    """Print one row of the table, and a line about the stores."""
    took, turns = stage.ended - stage.started, stage.counts["turns"]
    rate, busy = turns / took, sum(cpu.values()) / took / (os.cpu_count() or 1)
    other, hot = (
        "".join(f"{quantile(stage.times[is_hot], share):8.0f}" for share in QUANTILES)
        for is_hot in (False, True)
    )
    per_turn = ", ".join(f"{name} {seconds * 1000 / turns:.1f}" for name, seconds in cpu.items())
    print(f"{clients:7} {rate:8.1f} {rate * MODEL_SECONDS / clients:8.2f}{other}", end=" |")
    print(f"{hot} | {busy:5.0%} | {per_turn}")
    print(f"        {_describe_usage(stage)}", flush=True)


def _describe_usage(stage: Stage) -> str:
    """Describe what the median turn used of the stores, and count replays and degraded turns."""
    names = ("request_units", "cosmos_calls", "redis_calls")
    used = ", ".join(
        f"{statistics.median(usage[name] for usage in stage.usage):g} {name}" for name in names
    )
    counted = ", ".join(f"{stage.counts[name]} {name}" for name in ("replayed", *DEGRADED))
    return f"per turn: {used}; {counted}"
