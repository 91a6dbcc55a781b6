"""The documentation uses the field's terms and reads like English."""

import re
from pathlib import Path

import pytest

from tests.support.words import find_phrases

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)  # may name what a thing used to be called


def read_prose(path: Path) -> str:
    """The text of a document without its code, which keeps its lines."""
    return CODE.sub(lambda code: "\n" * code[0].count("\n"), path.read_text())


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
