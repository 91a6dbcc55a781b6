"""Extractive summaries: sentences the user said, chosen by rules; nothing is invented."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.summaries import MAX_TITLE_CHARS
from shared.domain.turns import Turn

MAX_EXTRACT_CHARS = 700  # at most about 200 tokens, also where words are short
MAX_SENTENCE_CHARS = 220  # a longer one is a pasted text
MIN_WORDS = 3
_BREAK = re.compile(
    r"(?<=[.!?\u2026])\s+|\n+"
)  # spaces around a line are stripped: \s*\n would take quadratic time
_WORD = re.compile(r"\w[\w'\u2019-]*")
_FIRST_PERSON = re.compile(
    r"\b(i|i'm|i\u2019m|i've|i\u2019ve|i'd|i\u2019d|my|mine|me|we|our|us)\b", re.IGNORECASE
)
_LASTING = re.compile(
    r"\b(always|never|prefer|prefers|favou?rite|allergic|remember|call me|name|birthday|born|live|work|job|married|"
    r"wife|husband|son|daughter|sister|brother|mother|father|dog|cat|moved?|vegetarian|vegan|own|drive|speak|hate|love|"
    r"like|dislike|plan|booked|need|must|deadline|every)\b",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"^(he|she|it|they|his|her|its|their)\b", re.IGNORECASE
)  # of what the sentence before is about
_REQUEST = re.compile(
    r"^(please|could|can|would|tell|explain|give|show|write|list|help)\b", re.IGNORECASE
)
_CHATTER = re.compile(
    r"^(thanks?|thank you|ok|okay|great|sure|yes|no|hello|hi|hey|bye|good)\b[^.!]{0,24}[.!…]*$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    place: int
    words: frozenset[str]
    worth: float


def extract(earlier: str | None, turns: Sequence[Turn], room: int = MAX_EXTRACT_CHARS) -> str:
    """The sentences worth most of an earlier extract and of the user's own in these turns, in their order.

    One a line, each word for word as it was said, in so many characters and `MAX_EXTRACT_CHARS` at most. Empty when
    nothing was said that would be worth it.
    """
    told = [*split(earlier or ""), *(text for turn in turns for text in _own_sentences(turn))]
    chosen: list[_Sentence] = []
    room = min(room, MAX_EXTRACT_CHARS)
    for sentence in sorted(_weigh(told), key=lambda one: (-one.worth, -one.place)):
        if len(sentence.text) + 1 <= room and not any(
            _says_the_same(sentence, known) for known in chosen
        ):
            chosen.append(sentence)
            room -= len(sentence.text) + 1
    return "\n".join(sentence.text for sentence in sorted(chosen, key=lambda one: one.place))


def extract_title(turns: Sequence[Turn]) -> str | None:
    """The beginning of the first thing the user said."""
    first = next((text for turn in turns for text in _own_sentences(turn)), None)
    return (
        first
        if first is None or len(first) <= MAX_TITLE_CHARS
        else f"{first[: MAX_TITLE_CHARS - 1].rstrip()}…"
    )


def split(text: str) -> list[str]:
    """The sentences of a text, each as it stands there."""
    return [part for part in (piece.strip() for piece in _BREAK.split(text)) if part]


def _own_sentences(turn: Turn) -> Iterable[str]:
    return (
        text
        for message in turn.messages
        if message.role == "user"
        for text in split(message.content)
    )


def _weigh(sentences: Sequence[str]) -> list[_Sentence]:
    """Statements, with what they are worth: about the user, lasting, precise; words that others use as well help.

    What no rule speaks for, in a language they do not know for instance, counts only where there is nothing else.
    """
    words = [frozenset(word.lower() for word in _WORD.findall(text)) for text in sentences]
    common = Counter(word for some in words for word in some)
    weighed: dict[bool, list[_Sentence]] = {True: [], False: []}
    before = 0.0
    for place, (text, used) in enumerate(zip(sentences, words, strict=True)):
        ruled = max(_rules(text), before if _GOES_ON.match(text) else 0.0)
        if _is_statement(text, used):
            shared = sum(common[word] > 1 and len(word) > 3 for word in used) / len(used)  # noqa: PLR2004 - no article
            worth = ruled + shared - len(text) / MAX_SENTENCE_CHARS
            weighed[ruled > 0].append(_Sentence(text, place, used, worth))
        before = ruled / 2
    return weighed[True] or weighed[False]


def _is_statement(text: str, words: frozenset[str]) -> bool:
    asks = text.rstrip(" \"'”\u2019").endswith("?") or _REQUEST.match(text)
    return (
        len(words) >= MIN_WORDS
        and len(text) <= MAX_SENTENCE_CHARS
        and not asks
        and not _CHATTER.match(text)
    )


def _rules(text: str) -> float:
    names = sum(
        1
        for word in _WORD.findall(text)[1:]
        if word[0].isupper() and word not in {"I", "I'm", "I\u2019m", "I've"}
    )
    precise = min(2, names + sum(character.isdigit() for character in text) / 2)
    return (
        2.0 * bool(_FIRST_PERSON.search(text)) + 1.5 * bool(_LASTING.search(text)) + 0.75 * precise
    )


def _says_the_same(one: _Sentence, other: _Sentence) -> bool:
    """Whether four words in five are common to both."""
    return len(one.words & other.words) > 0.8 * len(one.words | other.words)
