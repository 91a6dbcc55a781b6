"""Each benchmark of docs/benchmarks.md exists, runs and prints its table."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.dialogues import read_dialogues
from bench.ledger import Answer, Ledger
from tests.support.azurite import can_run

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "docs" / "benchmarks.md").read_text()
SUPPORT = {
    "__init__",
    "dialogues",
    "environment",
    "instant_model",
    "ledger",
    "locustfile",
    "lookups",
    "operations",
    "scores",
    "slow_model",
    "stack",
    "stage",
    "worker_probe",
}
NO_ENVIRONMENT = 2  # the exit code of a benchmark that cannot install what it measures with
NEEDS_LINUX = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="CPU and memory are read from /proc"
)
slow = pytest.mark.skipif(
    not os.environ.get("KEEPSAKE_SLOW"), reason="takes its time: KEEPSAKE_SLOW=1"
)


def run_bench(*arguments: str) -> str:
    """Return what a benchmark prints; without the packages it needs, skip the test."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    if done.returncode == NO_ENVIRONMENT:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def a_turn(turn: str, seq: int, reply: str = "Hi") -> dict[str, object]:
    """A turn of a transcript."""
    return {"turn_id": turn, "seq": seq, "messages": [{"content": "Hello"}, {"content": reply}]}


def a_ledger() -> Ledger:
    """Ada sent two turns and was answered both."""
    ledger = Ledger()
    ledger.sent["ada"] = {"a", "b"}
    ledger.answers["ada", "a"] = [Answer(1, "Hi"), Answer(1, "Hi")]
    ledger.answers["ada", "b"] = [Answer(2, "Hi")]
    return ledger


def test_every_benchmark_is_documented_and_exists() -> None:
    """The document names each program of bench/ that measures, and no other."""
    named = set(re.findall(r"python -m bench\.(\w+)", DOCUMENT))
    assert named == {path.stem for path in (ROOT / "bench").glob("*.py")} - SUPPORT


@NEEDS_LINUX
def test_load_finds_every_turn_where_it_belongs() -> None:
    """Callers, two instances and a hot user: no error, and an audit without findings."""
    table = run_bench("bench.load", "--quick")
    assert "turns/s" in table
    assert re.search(r"audit of (\d+) turns of 20 users \(\1 sent\)", table)
    assert "0 lost, 0 duplicated, 0 unknown, 0 misplaced, 0 changed; no errors" in table


@NEEDS_LINUX
def test_coldstart_prints_its_table() -> None:
    """One fresh process of each app, in this environment."""
    table = run_bench("bench.coldstart", "--quick", "--here")
    assert re.search(r"import and index, CPU ms +[\d.]+ +[\d.]+ +[\d.]+ +<= 1\.25 x", table)
    assert re.search(r"resident after the first answer, MB +[\d.]+", table)


def test_fairness_prints_its_table() -> None:
    """One round with a small flood, and the ratio."""
    table = run_bench("bench.fairness", "--size", "20", "--count", "10", "--rounds", "1")
    assert re.search(r"median: [\d.]+ \(target 1\.5\)", table)


@slow
def test_turn_prints_its_table() -> None:
    """One round at each length of session, and the ratios."""
    table = run_bench("bench.turn", "--rounds", "1")
    rows = re.findall(r"^ +(\d+) +(\d+) \|", table, re.MULTILINE)
    assert rows == [
        (clients, length) for clients in ("1", "16") for length in ("10", "100", "1000")
    ]
    assert table.count("(target 1.10)") == 2


@pytest.mark.skipif(
    not can_run(), reason="no Azurite (npm was not there): the timer is not measured"
)
def test_consolidate_prints_its_tables() -> None:
    """Old sessions cost nothing, and every session that is due is queued."""
    table = run_bench("bench.consolidate", "--quick")
    costs = re.findall(r"^ +(\d+) +10 +(\d+) +[\d.]+ +1$", table, re.MULTILINE)
    assert [turns for turns, _ in costs] == ["10", "100", "1000"]
    assert len({requests for _, requests in costs}) == 1
    assert re.search(r"1500 due sessions: 1500 queued in \d+ s \(\d+/s\), 1500 on the queue", table)


def test_recall_prints_its_tables() -> None:
    """In a dialogue of our own, keywords find what was said and nothing unrelated."""
    table = run_bench("bench.recall", "--quick", "--embeddings", "none")
    assert "garden: 12 turns, 7 questions" in table
    rows = re.findall(
        r"^(keywords alone) +([\d.]+) +([\d.]+) +([\d.]+) +[\d.]+ +[\d.]+ +", table, re.MULTILINE
    )
    assert [float(share) > 80 for share in rows[0][1:]] == [True] * 3
    assert re.search(r"^keywords alone +[\d.]+ +[\d.]+ +2 +0$", table, re.MULTILINE)


def test_recall_says_where_its_data_is() -> None:
    """It is not ours to ship."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.recall"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "snap-research/LoCoMo" in done.stderr


def test_dialogues_are_read_as_they_were_said(tmp_path: Path) -> None:
    """The first speaker is the user, two messages in a row are one, odd evidence is read."""
    lines = [
        ("B", "Hi"),
        ("B", "You there?"),
        ("A", "Yes"),
        ("B", "Look"),
        ("A", "Nice"),
        ("B", "Bye"),
    ]
    said = [
        {"speaker": who, "text": text, "dia_id": f"D1:{n}"}
        for n, (who, text) in enumerate(lines, 1)
    ]
    said[3]["blip_caption"] = "a cat"
    asked = [
        {"question": "?", "category": 4, "evidence": proof}
        for proof in (["D1:1; D:1:03", "D9:9"], ["D"], [])
    ]
    one = {
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": said,
        "session_2_date_time": "1 May",
    }
    (tmp_path / "data.json").write_text(
        json.dumps([{"sample_id": "x", "conversation": one, "qa": asked}])
    )
    (dialogue,) = read_dialogues(tmp_path / "data.json")
    (session,) = dialogue.sessions
    texts = [[(message.speaker, message.text) for message in turn] for turn in session.turns]
    assert texts == [
        [("B", "Hi\nYou there?"), ("A", "Yes")],
        [("B", "Look [shares a photo of a cat]"), ("A", "Nice")],
        [("B", "Bye")],
    ]
    assert session.turns[0][0].utterances == ("D1:1", "D1:2")
    assert [question.evidence for question in dialogue.questions] == [{"D1:1", "D1:3"}]


@slow
@NEEDS_LINUX
def test_coldstart_builds_the_deployed_set() -> None:
    """The same, in an environment of exactly what is deployed."""
    assert "on the deployed set" in run_bench("bench.coldstart", "--quick")


@pytest.mark.parametrize(
    ("transcript", "found"),
    [
        ([a_turn("a", 1), a_turn("b", 2)], {}),
        ([a_turn("a", 1)], {"lost": 1}),
        ([a_turn("a", 1), a_turn("b", 2), a_turn("b", 2)], {"duplicated": 1, "misplaced": 1}),
        ([a_turn("a", 1), a_turn("b", 2), a_turn("c", 3)], {"unknown": 1}),
        ([a_turn("b", 2), a_turn("a", 1)], {"misplaced": 2}),
        ([a_turn("a", 1), a_turn("b", 2, "Bye")], {"changed": 1}),
    ],
    ids=["right", "lost", "duplicated", "unknown", "misplaced", "changed"],
)
def test_the_audit_finds_what_is_wrong(
    transcript: list[dict[str, object]], found: dict[str, int]
) -> None:
    """A transcript that is not what its user was told is found out."""
    assert +a_ledger().audit("ada", transcript) == Counter(found)
