"""`python -m infra.bicep.snapshots`: write the snapshot of every variant, and the record."""

import sys

from infra.bicep.compiler import PINNED, CompilerError, find_compiler, start_compiler
from infra.bicep.record import make_record, write_record
from infra.bicep.templates import parameter_files, snapshot_path, templates_of


def main() -> int:
    """Write them."""
    path = find_compiler()
    if path is None:
        sys.stderr.write(f"Snapshots need Bicep {PINNED}: CONTRIBUTING.md says how to get it.\n")
        return 1
    with start_compiler(path) as compiler:
        if (version := compiler.version()) != PINNED:
            sys.stderr.write(f"Bicep {version} is not {PINNED}, which infra/bicep-version pins.\n")
            return 1
        try:
            for parameters in parameter_files():
                snapshot_path(parameters).write_text(compiler.snapshot(parameters))
        except CompilerError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        write_record(make_record(templates_of(compiler)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
