"""`python -m infra.bicep`: write the snapshot of every variant, and the record."""

import sys

from infra.bicep import FOLDER
from infra.bicep.compiler import PINNED, CompilerError, find_compiler, start_compiler
from infra.bicep.record import make_record, write_record
from infra.bicep.templates import other_version, templates_of, write_snapshots


def main() -> int:
    """Write them."""
    path = find_compiler()
    if path is None:
        sys.stderr.write(f"Snapshots need Bicep {PINNED}: CONTRIBUTING.md says how to get it.\n")
        return 1
    with start_compiler(path) as compiler:
        if (wrong := other_version(compiler)) is not None:
            sys.stderr.write(f"{wrong}\n")
            return 1
        try:
            write_snapshots(compiler, FOLDER)
        except CompilerError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        write_record(FOLDER, make_record(FOLDER, templates_of(compiler, FOLDER)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
