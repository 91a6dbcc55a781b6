"""`python -m infra.kusto`: parse the queries of every snapshot; exits 1 on any problem."""

import sys

from infra.bicep import FOLDER
from infra.kusto import can_parse, distinct_queries, parse_queries


def main() -> int:
    """Print the problems."""
    if not can_parse():
        sys.stdout.write("SKIPPED: without npm, nothing parsed the queries of the alert rules\n")
        return 0
    found = parse_queries(distinct_queries(FOLDER.load_snapshots()))
    sys.stderr.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
