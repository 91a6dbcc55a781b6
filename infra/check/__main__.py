"""`python -m infra.check`: check the templates and what they deploy; exits 1 on any finding."""

import sys
from collections.abc import Iterator

from infra.bicep import FOLDER
from infra.bicep.snapshot import Snapshot
from infra.bicep.templates import check_templates
from infra.check.app_settings import check_app_settings
from infra.check.monitoring import check_monitoring
from infra.check.names import check_names
from infra.check.network import check_network
from infra.check.policy import check_policy
from infra.check.rights import check_rights
from infra.check.stored import check_stored

CHECKS = (
    check_policy,
    check_rights,
    check_network,
    check_monitoring,
    check_app_settings,
    check_stored,
    check_names,
)


def main() -> int:
    """Print the findings."""
    found = [
        *check_templates(FOLDER),
        *(each for one in FOLDER.load_snapshots() for each in check(one)),
    ]
    sys.stderr.write("".join(f"{finding}\n" for finding in found))
    return 1 if found else 0


def check(snapshot: Snapshot) -> Iterator[str]:
    """Yield what every check finds in a snapshot."""
    for each in CHECKS:
        for finding in each(snapshot):
            yield f"{snapshot.name}: {finding}"


if __name__ == "__main__":
    sys.exit(main())
