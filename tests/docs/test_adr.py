"""Decisions can be found, dated and followed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
HEAD = re.compile(r"# (\d+)\. .+\n\nDate: \d{4}-\d\d-\d\d\nStatus: (?:Accepted|Superseded by .+)\n")


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_number_date_and_status(path: Path) -> None:
    """Each begins with its number, which is the file's, its date and its status."""
    head = HEAD.match(path.read_text())
    assert head
    assert int(head[1]) == int(path.name[:4])


def test_decisions_are_numbered_in_order() -> None:
    """No number is missing or used twice."""
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    """Each file that a document links to exists, and so does the heading in it."""
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([\w-]+))?\)", path.read_text())
    assert [link for link in links if not _exists(path, *link)] == []


def _exists(path: Path, file: str, heading: str) -> bool:
    target = path.parent / file if file else path
    return target.exists() and (not heading or heading in _headings(target))


def _headings(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
