"""Runs every check on a file."""

from collections.abc import Iterator
from pathlib import Path

from infra.check.app_settings import check_app_settings
from infra.check.bicep import BicepFile, check_syntax, read
from infra.check.finding import Finding
from infra.check.names import check_names
from infra.check.places import check_places
from infra.check.policy import check_policy
from infra.check.rights import check_rights
from infra.check.shapes import check_shapes
from infra.check.wiring import check_wiring

INFRA = Path(__file__).parent.parent
CHECKS = (
    check_names,
    check_places,
    check_shapes,
    check_wiring,
    check_policy,
    check_rights,
    check_app_settings,
)


def bicep_files() -> list[BicepFile]:
    """Every Bicep file of infra/."""
    return [read(path) for path in sorted(INFRA.rglob("*.bicep"))]


def check_file(file: BicepFile) -> Iterator[Finding]:
    """Yield what is wrong with a file; of one that does not parse, only that."""
    unreadable = list(check_syntax(file))
    yield from unreadable
    for check in CHECKS if not unreadable else ():
        yield from check(file)
