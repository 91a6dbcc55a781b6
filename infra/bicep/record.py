"""The record of what the snapshots were made from, which shows stale ones without a compiler."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.bicep.compiler import INFRA, PINNED
from infra.bicep.snapshot import ENDING, VARIANTS

RECORD = VARIANTS / "record.json"
Record = dict[str, str]


def make_record(templates: Iterable[Path]) -> Record:
    """Digests of the compiler's version, the templates, the parameter files and the snapshots."""
    files = {*templates, *VARIANTS.glob("*.bicepparam"), *VARIANTS.glob(f"*{ENDING}")}
    digests = {file.relative_to(INFRA).as_posix(): _digest(file) for file in sorted(files)}
    return {"compiler": PINNED, **digests}


def write_record(record: Record) -> None:
    """Write the record."""
    RECORD.write_text(f"{json.dumps(record, indent=2)}\n")


def read_record() -> Record:
    """Read the record; empty if there is none."""
    return dict(json.loads(RECORD.read_text())) if RECORD.exists() else {}


def recorded_templates() -> list[Path]:
    """The templates in the record that still exist."""
    files = [INFRA / name for name in read_record() if name != "compiler"]
    return [file for file in files if file.exists() and file.parent != VARIANTS]


def stale(now: Record) -> Iterator[str]:
    """Yield what changed since the record was written."""
    before = read_record()
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} is not what the snapshots were made with: run `make snapshots`"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_text().encode()).hexdigest()  # newlines as Python reads them
