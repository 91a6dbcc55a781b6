"""Extractive summaries: the user's own sentences, chosen by rules without a model."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.domain.summaries import MAX_TITLE_CHARS
from shared.domain.turns import Turn

MAX_EXTRACT_CHARS = 700  # about 200 tokens at most, even if words are short
MAX_SENTENCE_CHARS = 220  # a longer one is pasted text
MIN_WORDS = 3
UNSPACED = "\u0e00"  # scripts from here on do not separate words
LETTERS_PER_WORD = 2  # in those, about
MIN_SHARED_LETTERS = 4  # shorter words are mostly articles and pronouns
# Not \s*\n, which takes quadratic time; spaces around a line are stripped afterwards.
_BREAK = re.compile(r"(?<=[.!?\u2026])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_ENDS = re.compile(r"[.!?\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)]*$")
_WORD = re.compile(r"\w[\w'\u2019-]*")
_FIRST_PERSON = re.compile(
    r"\b(i|i'm|i\u2019m|i've|i\u2019ve|i'd|i\u2019d|my|mine|me|we|our|us)\b", re.IGNORECASE
)
_LASTING = re.compile(
    r"\b(always|never|prefer|prefers|favou?rite|allergic|remember|call me|name|birthday|born|live|"
    r"work|job|married|wife|husband|son|daughter|sister|brother|mother|father|dog|cat|moved?|"
    r"vegetarian|vegan|own|drive|speak|hate|love|like|dislike|plan|booked|need|must|deadline|"
    r"every)\b",
    re.IGNORECASE,
)
# The sentence continues the topic of the one before.
_CONTINUES = re.compile(r"^(he|she|it|they|his|her|its|their)\b", re.IGNORECASE)
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
    """The most valuable sentences of an earlier extract and of the user's messages in these turns.

    Verbatim, one per line, in their original order, at most `room` and MAX_EXTRACT_CHARS
    characters. Empty if no sentence qualifies.
    """
    candidates = [*split(earlier or ""), *(text for turn in turns for text in _own_sentences(turn))]
    chosen: list[_Sentence] = []
    room = min(room, MAX_EXTRACT_CHARS)
    for sentence in sorted(_weigh(candidates), key=lambda one: (-one.worth, -one.place)):
        if len(sentence.text) + 1 <= room and not any(
            _says_the_same(sentence, known) for known in chosen
        ):
            chosen.append(sentence)
            room -= len(sentence.text) + 1
    return "\n".join(sentence.text for sentence in sorted(chosen, key=lambda one: one.place))


def extract_title(turns: Sequence[Turn]) -> str | None:
    """The user's first sentence, shortened to fit a title; None if there is none."""
    first = next((text for turn in turns for text in _own_sentences(turn)), None)
    return (
        first
        if first is None or len(first) <= MAX_TITLE_CHARS
        else f"{first[: MAX_TITLE_CHARS - 1].rstrip()}…"
    )


def split(text: str) -> list[str]:
    """The sentences of a text, verbatim; what has no punctuation is cut between its words."""
    parts = (part.strip() for part in _BREAK.split(text))
    return [text for part in parts if part for text in _cut(part)]


def _cut(text: str) -> Iterable[str]:
    """A text without sentences, such as a dictated one, in chunks that a summary can hold."""
    while len(text) > MAX_SENTENCE_CHARS and not _ENDS.search(text):
        end = text.rfind(" ", MAX_SENTENCE_CHARS // 2, MAX_SENTENCE_CHARS)
        end = end if end > 0 else MAX_SENTENCE_CHARS
        yield text[:end].strip()
        text = text[end:].strip()
    yield text


def _own_sentences(turn: Turn) -> Iterable[str]:
    return (
        text
        for message in turn.messages
        if message.role == "user"
        for text in split(message.content)
    )


def _weigh(sentences: Sequence[str]) -> list[_Sentence]:
    """The statements among the sentences, with their worth.

    Worth more: about the user, lasting, precise, and sharing words with other sentences. A
    sentence that no rule matches, for instance in another language, counts only if none does.
    """
    words = [frozenset(word.lower() for word in _WORD.findall(text)) for text in sentences]
    uses = Counter(word for some in words for word in some)
    weighed: dict[bool, list[_Sentence]] = {True: [], False: []}
    before = 0.0
    for place, (text, used) in enumerate(zip(sentences, words, strict=True)):
        by_rules = max(_apply_rules(text), before if _CONTINUES.match(text) else 0.0)
        if _is_statement(text, used):
            shared = [word for word in used if uses[word] > 1 and len(word) >= MIN_SHARED_LETTERS]
            worth = by_rules + len(shared) / len(used) - len(text) / MAX_SENTENCE_CHARS
            weighed[by_rules > 0].append(_Sentence(text, place, used, worth))
        before = by_rules / 2
    return weighed[True] or weighed[False]


def _is_statement(text: str, words: frozenset[str]) -> bool:
    asks = text.rstrip(" \"'”\u2019").endswith(("?", "\uff1f")) or _REQUEST.match(text)
    return (
        _count_words(words) >= MIN_WORDS
        and len(text) <= MAX_SENTENCE_CHARS
        and not asks
        and not _CHATTER.match(text)
    )


def _count_words(words: frozenset[str]) -> int:
    """Words, where a script without spaces makes one of many."""
    return sum(1 if word[0] < UNSPACED else -(-len(word) // LETTERS_PER_WORD) for word in words)


def _apply_rules(text: str) -> float:
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
    """Whether they share more than four words in five."""
    return len(one.words & other.words) > 0.8 * len(one.words | other.words)
