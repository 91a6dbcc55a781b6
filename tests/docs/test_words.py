"""The documentation uses the field's terms and reads like English."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
REWRITTEN_ELSEWHERE = {"deploy.md", "local-cosmos.md", "0010-infra-is-checked-offline.md"}
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if path.name not in REWRITTEN_ELSEWHERE
)
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)  # may name what a thing used to be called

# What we do not write, and what we write instead.
INSTEAD = {
    # one term per concept (docs/glossary.md)
    r"graves?": "tombstone",
    r"hearings?": "generation",
    r"openings": "a turn in progress, an attempt",
    r"packs?|packed": "context preview",
    r"pieces?|piece by piece": "chunk",
    r"passages?": "excerpt, turn",
    r"parked|parks?|revived?": "dead-lettered, requeue",
    r"last times?": "recent session",
    r"words alone|by (?:its |their )?words": "by keywords",
    r"kept with a session|values? of a session": "session data",
    # states and errors
    r"(?:is|are|was|were|be|stays?) away": "is unavailable",
    r"silly": "invalid",
    r"stops? the start": "refuses to start",
    r"(?:is|are) believed": "is trusted",
    r"mend(?:s|ed|ing)?": "fix",
    r"anew": "again; start over",
    r"twice is harmless|harmless to repeat": "idempotent",
    r"for good and all|for want of": "permanently; because there is no ...",
    # turns of phrase
    r"told of|(?:is|are|be) told": "is included, is given",
    r"stands? beside|stand(?:s|ing)? (?:on|in) (?:it|them)": "is stored with",
    r"(?<!there )(?:is|are|was|were) no (?!longer\b|more\b)\w+": "is not a ...",
    r"has to do with|have to do with": "is relevant to",
    r"hang(?:s|ing)? up": "close the connection",
    r"whoever only": "a caller who only",
    r"reckon(?:s|ed|ing)?(?: with)?": "estimate, assume",
    r"today and in all": "today and in total",
    r"the like of|means the like": "similar to",
    r"in so many (?:tries|seconds)": "a number of",
    r"what goes for": "the rules for",
    r"goes? its whole way": "works from end to end",
    r"at its beginning": "at its start",
}
PHRASES = [
    (re.compile(rf"\b(?:{phrase})\b", re.IGNORECASE), better) for phrase, better in INSTEAD.items()
]
FREE_WHO = re.compile(r"(?:^|[.:;!?|] +)Who [^?|]*?\.(?= |$)", re.MULTILINE)
PHRASES.append((FREE_WHO, "A caller who ..."))
WRAP = re.compile(r"(?<!\n)\n(?=[^\n|#-])")  # a line break within a paragraph


def read_prose(path: Path) -> str:
    """The text of a document without its code, which keeps its lines."""
    return CODE.sub(lambda code: "\n" * code[0].count("\n"), path.read_text())


def find_phrases(prose: str) -> Iterator[str]:
    """Each phrase that we do not use, with its line and what to write instead."""
    paragraphs = WRAP.sub(" ", prose)
    for phrase, better in PHRASES:
        for found in phrase.finditer(paragraphs):
            number = prose.count("\n", 0, found.start()) + 1
            yield f'line {number}: "{found[0]}": write "{better}"'


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_documentation_uses_plain_words(path: Path) -> None:
    """No document contains a word or phrase that a native engineer would not write."""
    assert list(find_phrases(read_prose(path))) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "A grave is swept.",
        "Redis is away.",
        "A body that is no JSON is refused.",
        "Who hangs on waits for the lease.",
        "It begins anew.",
        "Twice is harmless.",
    ],
)
def test_a_translated_sentence_is_noticed(sentence: str) -> None:
    """The list catches what it is there for."""
    assert list(find_phrases(sentence))


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no default user.",
        "It is no longer there.",
        "Who is calling?",
        "A caller who closes the connection stops generation.",
    ],
)
def test_plain_english_passes(sentence: str) -> None:
    """The list does not forbid what anybody would write."""
    assert list(find_phrases(sentence)) == []
