"""`python -m infra.check`: every check on every Bicep file; findings to the terminal, 1 if there are any."""

import sys

from infra.check.run import bicep_files, check_file


def main() -> int:
    """Print the findings."""
    files = bicep_files()
    found = sorted({finding for file in files for finding in check_file(file)})
    for finding in found:
        sys.stderr.write(f"{finding}\n")
    sys.stdout.write(f"infra: {len(files)} Bicep files, {len(found)} findings\n")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
