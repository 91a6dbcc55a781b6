"""`python -m infra.check`: check the templates and what they deploy; exits 1 on any finding."""

import sys

from infra.bicep import FOLDER
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
    deployed = (
        f"{snapshot.name}: {finding}"
        for snapshot in FOLDER.load_snapshots()
        for check in CHECKS
        for finding in check(snapshot)
    )
    found = [*check_templates(FOLDER), *deployed]
    sys.stderr.write("".join(f"{finding}\n" for finding in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
