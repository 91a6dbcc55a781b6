"""docs/faults.md defines the faults that code and tests refer to by number."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("shared", "tests", "local", "operate", "devtools", "bench", "infra")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
ROWS = re.findall(
    r"^\| F(\d+) \|.*\| ([^|]+) \|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE
)
PLACES = {int(number): set(re.findall(r"`([\w/]+)`", shown)) for number, shown in ROWS}


def _tested(path: Path) -> set[int]:
    names = re.findall(r"def test_\w+?((?:_f\d+)+)\(", path.read_text())
    return {int(number) for name in names for number in re.findall(r"\d+", name)}


def _mentioned(path: Path) -> set[int]:
    numbers = re.findall(r"\bF([1-9]\d*)\b", path.read_text())
    return {int(number) for number in numbers} | _tested(path)


def test_every_fault_that_is_mentioned_is_defined() -> None:
    """A reader who meets a fault's number in code or tests finds what it means."""
    undefined = {str(path): _mentioned(path) - PLACES.keys() for path in SOURCES}
    assert {path: numbers for path, numbers in undefined.items() if numbers} == {}


def test_faults_are_defined_once() -> None:
    """Numbers are unique and without gaps, so that the next one is obvious."""
    assert sorted(int(number) for number, _ in ROWS) == list(range(1, len(ROWS) + 1))


def test_each_fault_names_where_it_is_shown() -> None:
    """A row names the folders that have tests of its number; without tests it is planned."""
    shown: dict[int, set[str]] = {number: set() for number in PLACES}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for number in _tested(path):
            shown[number].add(str(path.parent.relative_to(ROOT)))
    assert shown == PLACES
    assert {int(number) for number, text in ROWS if text == "planned"} == {
        number for number, places in shown.items() if not places
    }
