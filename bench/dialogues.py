"""Dialogues with questions and the evidence for each: from LoCoMo's file, and one of our own."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

SOURCE = (
    "LoCoMo is data/locomo10.json in github.com/snap-research/LoCoMo "
    "(CC BY-NC 4.0: use it for measuring only)"
)
CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
_SESSION = re.compile(r"session_(\d+)")
_EVIDENCE = re.compile(r"D:?(\d+):0*(\d+)")  # some are written "D8:6; D9:17" or "D:11:26"


@dataclass(frozen=True, slots=True)
class Message:
    """Consecutive utterances of one speaker, as one text, and their ids."""

    speaker: str
    text: str
    utterances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Session:
    """The turns of one occasion: a message of its first speaker and, if any, the other's answer."""

    number: int
    at: datetime
    turns: tuple[tuple[Message, ...], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its category, and the utterances that answer it."""

    text: str
    category: int
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What two people said, and questions about it."""

    name: str
    sessions: tuple[Session, ...]
    questions: tuple[Question, ...]


def read_dialogues(path: Path) -> tuple[Dialogue, ...]:
    """Read a file in LoCoMo's format; leave out questions without evidence in their dialogue."""
    return tuple(_read_dialogue(one) for one in json.loads(path.read_text(encoding="utf-8")))


def _read_dialogue(given: Mapping[str, Any]) -> Dialogue:
    conversation = given["conversation"]
    numbers = sorted(int(found[1]) for key in conversation if (found := _SESSION.fullmatch(key)))
    sessions = tuple(
        _read_session(n, conversation[f"session_{n}_date_time"], conversation[f"session_{n}"])
        for n in numbers
    )
    known = {
        name
        for session in sessions
        for turn in session.turns
        for message in turn
        for name in message.utterances
    }
    questions = [
        Question(one["question"], one["category"], _evidence(one, known)) for one in given["qa"]
    ]
    return Dialogue(given["sample_id"], sessions, tuple(one for one in questions if one.evidence))


def _read_session(number: int, at: str, utterances: Iterable[Mapping[str, Any]]) -> Session:
    """Pair each message of the first speaker with the answer; consecutive utterances are merged."""
    messages = [
        _read_message(group) for _, group in groupby(utterances, key=lambda one: one["speaker"])
    ]
    turns = tuple(tuple(messages[start : start + 2]) for start in range(0, len(messages), 2))
    return Session(
        number, datetime.strptime(at, "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC), turns
    )


def _read_message(group: Iterator[Mapping[str, Any]]) -> Message:
    utterances = list(group)
    text = "\n".join(map(_text, utterances)) or "..."
    return Message(utterances[0]["speaker"], text, tuple(str(one["dia_id"]) for one in utterances))


def _text(utterance: Mapping[str, Any]) -> str:
    photo = utterance.get("blip_caption")
    return str(utterance["text"]).strip() + (f" [shares a photo of {photo}]" if photo else "")


def _evidence(question: Mapping[str, Any], known: set[str]) -> frozenset[str]:
    pairs = [pair for one in question.get("evidence") or () for pair in _EVIDENCE.findall(str(one))]
    return frozenset(
        name for session, number in pairs if (name := f"D{int(session)}:{int(number)}") in known
    )


_TALKS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    (
        "9:00 am on 3 March, 2025",
        (
            (
                "I planted forty tulips by the gate this morning.",
                "That will look lovely. Which colour are they?",
            ),
            (
                "Apricot, from the market in Delft.",
                "I have never been there. How did you get them home?",
            ),
            ("By train, in two buckets on my lap.", "I hope nobody minded the mud."),
            (
                "The conductor laughed and asked for one.",
                "My own news is small: the hedge shears are broken.",
            ),
        ),
    ),
    (
        "6:30 pm on 21 March, 2025",
        (
            (
                "Something has eaten the lettuce again.",
                "Those were slugs, I think. Try copper tape on the pots.",
            ),
            (
                "I would rather keep a hedgehog.",
                "Then leave a gap below the fence so that it can come in.",
            ),
            (
                "My sister Ines arrives from Porto on Friday.",
                "Shall I cut the grass before she comes?",
            ),
            (
                "Please do, she wants to sleep in a tent.",
                "I'll bring the mower on Thursday at eight.",
            ),
        ),
    ),
    (
        "8:15 am on 2 May, 2025",
        (
            (
                "The tulips are over, all forty came up.",
                "Cut the heads and leave the leaves to yellow.",
            ),
            (
                "Ines took photographs of every one.",
                "She has a good eye. Is her exhibition still in June?",
            ),
            ("Yes, in the old boathouse.", "Then I'll finish the path there by the first of June."),
            ("And the hedgehog has moved in!", "The gap was worth the sawing."),
        ),
    ),
)
_QUESTIONS: Sequence[tuple[str, int, tuple[str, ...]]] = (
    ("When did Vera plant the tulips?", 2, ("D1:1",)),
    ("Which colour are Vera's tulips?", 4, ("D1:3",)),
    ("What did Tom say to do against slugs?", 4, ("D2:2",)),
    ("Where does Vera's sister come from?", 4, ("D2:5",)),
    ("What animal moved into the garden, and how did it get in?", 1, ("D2:4", "D3:7")),
    ("Would Ines enjoy a gift for artists?", 3, ("D3:3", "D3:4")),
    ("Who broke Vera's watering can?", 5, ("D1:8",)),
)


def _garden() -> Dialogue:
    conversation: dict[str, Any] = {}
    for number, (at, turns) in enumerate(_TALKS, 1):
        lines = [line for turn in turns for line in zip(("Vera", "Tom"), turn, strict=True)]
        conversation[f"session_{number}_date_time"] = at
        conversation[f"session_{number}"] = [
            {"speaker": speaker, "text": text, "dia_id": f"D{number}:{place}"}
            for place, (speaker, text) in enumerate(lines, 1)
        ]
    questions = [
        {"question": text, "category": category, "evidence": proof}
        for text, category, proof in _QUESTIONS
    ]
    return _read_dialogue({"sample_id": "garden", "conversation": conversation, "qa": questions})


GARDEN = _garden()  # three conversations between a neighbour and her gardener
