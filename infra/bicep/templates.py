"""What the compiler says of the templates: errors, lint, format, and what they deploy."""

import sys
from collections.abc import Iterator
from pathlib import Path

from infra.bicep.compiler import (
    INFRA,
    PINNED,
    Compiler,
    CompilerError,
    describe,
    find_compiler,
    start_compiler,
)
from infra.bicep.differences import differences
from infra.bicep.record import make_record, recorded_templates, stale
from infra.bicep.snapshot import ENDING, VARIANTS, parse_snapshot

MAIN = INFRA / "main.bicep"


SKIPPED = (
    "SKIPPED: there is no Bicep compiler, so the templates were not compiled, only compared with "
    "infra/variants/record.json. CONTRIBUTING.md says how to get one.\n"
)


def check_templates() -> Iterator[str]:
    """Yield what the compiler finds; without one, what changed since the snapshots were made."""
    path = find_compiler()
    if path is None:
        sys.stdout.write(SKIPPED)
        yield from stale(make_record(recorded_templates()))
        return
    try:
        with start_compiler(path) as compiler:
            yield from compare(compiler)
    except (CompilerError, OSError) as error:
        yield f"{path}: {error}"


def compare(compiler: Compiler) -> Iterator[str]:
    """Yield errors, lint, files that are not formatted, and differences from the snapshots."""
    version = compiler.version()
    if version != PINNED:
        yield (
            f"Bicep {version} is not {PINNED}, which infra/bicep-version pins: install that one. "
            "Nothing was compared. `make infra BICEP=` checks without a compiler."
        )
        return
    compiled = compiler.ask("compile", path=str(MAIN))
    if compiled["diagnostics"]:
        yield describe(compiled["diagnostics"])
    yield from _unformatted(compiler)
    if compiled["success"]:
        for parameters in parameter_files():
            yield from _changed(compiler, parameters)
        yield from stale(make_record(templates_of(compiler)))


def parameter_files() -> list[Path]:
    """One file per variant."""
    return sorted(VARIANTS.glob("*.bicepparam"))


def templates_of(compiler: Compiler) -> list[Path]:
    """Every file that main.bicep depends on, JSON and configuration included."""
    return [Path(file) for file in compiler.ask("getFileReferences", path=str(MAIN))["filePaths"]]


def snapshot_path(parameters: Path) -> Path:
    """Where the snapshot of a parameter file is."""
    return parameters.with_name(f"{parameters.stem}{ENDING}")


def _unformatted(compiler: Compiler) -> Iterator[str]:
    for file in sorted(INFRA.rglob("*.bicep*")):
        if file.suffix in {".bicep", ".bicepparam"} and (
            compiler.ask("format", path=str(file))["contents"] != file.read_text()
        ):
            yield f"{file.name}: not formatted: run `bicep format {file.relative_to(INFRA.parent)}`"


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
