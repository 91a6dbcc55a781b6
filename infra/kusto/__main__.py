"""`python -m infra.kusto`: parse the queries of every snapshot; exits 1 on any problem."""

import sys

from infra.bicep.snapshot import load_snapshots
from infra.kusto import can_parse, parse_queries, queries_in


def main() -> int:
    """Print the problems."""
    if not can_parse():
        sys.stdout.write("SKIPPED: without npm, nothing parsed the queries of the alert rules\n")
        return 0
    distinct = {
        query: f"{snapshot.name}: {name}"
        for snapshot in load_snapshots()
        for name, query in queries_in(snapshot).items()
    }
    found = parse_queries({name: query for query, name in distinct.items()})
    sys.stderr.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
