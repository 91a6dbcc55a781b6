"""What the compiler says of the templates: errors, lint, format, and what they deploy."""

import sys
from collections.abc import Iterator
from pathlib import Path

from infra.bicep.compiler import (
    PINNED,
    Compiler,
    CompilerError,
    describe,
    find_compiler,
    start_compiler,
)
from infra.bicep.differences import differences
from infra.bicep.folder import Folder, snapshot_path
from infra.bicep.record import make_record, recorded_templates, stale
from infra.bicep.snapshot import parse_snapshot

SKIPPED = (
    "SKIPPED: there is no Bicep compiler, so the templates were not compiled, only compared with "
    "infra/variants/record.json. CONTRIBUTING.md says how to get one.\n"
)


def check_templates(folder: Folder) -> Iterator[str]:
    """Yield what the compiler finds; without one, what changed since the snapshots were made."""
    path = find_compiler()
    if path is None:
        sys.stdout.write(SKIPPED)
        yield from stale(folder, make_record(folder, recorded_templates(folder)))
        return
    try:
        with start_compiler(path) as compiler:
            yield from compare(compiler, folder)
    except (CompilerError, OSError) as error:
        yield f"{path}: {error}"


def compare(compiler: Compiler, folder: Folder) -> Iterator[str]:
    """Yield errors, lint, files that are not formatted, and differences from the snapshots."""
    if (wrong := other_version(compiler)) is not None:
        yield f"{wrong} Nothing was compared. `make infra BICEP=` checks without a compiler."
        return
    compiled = compiler.ask("compile", path=str(folder.main))
    if compiled["diagnostics"]:
        yield describe(compiled["diagnostics"])
    yield from _unformatted(compiler, folder)
    if compiled["success"]:
        for parameters in folder.parameter_files():
            yield from _changed(compiler, parameters)
        yield from stale(folder, make_record(folder, templates_of(compiler, folder)))


def write_snapshots(compiler: Compiler, folder: Folder) -> None:
    """Write the snapshot of every variant. Idempotent: the same templates give the same files.

    Raises:
        CompilerError: with what is wrong in a file; the others may have been written.
    """
    for parameters in folder.parameter_files():
        snapshot_path(parameters).write_text(compiler.snapshot(parameters))


def other_version(compiler: Compiler) -> str | None:
    """What to say of a compiler that is not the pinned one."""
    version = compiler.version()
    if version == PINNED:
        return None
    return f"Bicep {version} is not {PINNED}, which infra/bicep-version pins: install that one."


def templates_of(compiler: Compiler, folder: Folder) -> list[Path]:
    """Every file that main.bicep depends on, JSON and configuration included."""
    answer = compiler.ask("getFileReferences", path=str(folder.main))
    return [Path(file) for file in answer["filePaths"]]


def _unformatted(compiler: Compiler, folder: Folder) -> Iterator[str]:
    for file in folder.bicep_files():
        if compiler.ask("format", path=str(file))["contents"] != file.read_text():
            yield f"{file.name}: not formatted: run `bicep format {file}`"


def _changed(compiler: Compiler, parameters: Path) -> Iterator[str]:
    path = snapshot_path(parameters)
    try:
        new = parse_snapshot(parameters.stem, compiler.snapshot(parameters))
    except CompilerError as error:
        yield str(error)
        return
    if path.exists():
        yield from differences(parse_snapshot(parameters.stem, path.read_text()), new)
    else:
        yield f"{parameters.stem}: no snapshot: run `make snapshots`"
