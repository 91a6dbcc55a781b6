"""The record of what the snapshots were made from, which shows stale ones without a compiler."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.bicep.compiler import PINNED
from infra.bicep.folder import Folder, snapshot_path

Record = dict[str, str]


def make_record(folder: Folder, templates: Iterable[Path]) -> Record:
    """Digests of the compiler's version, the templates, the parameter files and the snapshots."""
    files = {*templates, *folder.parameter_files(), *folder.snapshot_files()}
    digests = {file.relative_to(folder.path).as_posix(): _digest(file) for file in sorted(files)}
    return {"compiler": PINNED, **digests}


def write_record(folder: Folder, record: Record) -> None:
    """Write the record."""
    folder.record.write_text(f"{json.dumps(record, indent=2)}\n")


def read_record(folder: Folder) -> Record:
    """Read the record; empty if there is none."""
    return dict(json.loads(folder.record.read_text())) if folder.record.exists() else {}


def recorded_templates(folder: Folder) -> list[Path]:
    """The templates in the record that still exist."""
    files = [folder.path / name for name in read_record(folder) if name != "compiler"]
    return [file for file in files if file.exists() and file.parent != folder.record.parent]


def stale(folder: Folder, now: Record) -> Iterator[str]:
    """Yield what changed since the record was written, and snapshots of no variant."""
    before = read_record(folder)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} is not what the snapshots were made with: run `make snapshots`"
    variants = {snapshot_path(parameters) for parameters in folder.parameter_files()}
    for file in folder.snapshot_files():
        if file not in variants:
            yield f"{file.name} belongs to no variant: delete it"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_text().encode()).hexdigest()  # newlines as Python reads them
