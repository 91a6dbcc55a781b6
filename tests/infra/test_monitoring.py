"""What happens to a resource is logged, and nothing that nobody should read."""

import pytest

from infra.bicep.snapshot import Snapshot
from infra.check.monitoring import LOGGED, SETTINGS, check_monitoring
from tests.infra.planting import SNAPSHOTS, changed, removed, rewritten

PRIVATE = SNAPSHOTS["private"]
FAULTS = {
    **{
        f"no logs of {resource_type}": removed(
            PRIVATE,
            SETTINGS,
            f"{PRIVATE.of(resource_type)[0].id}/providers/{SETTINGS}/to-workspace",
        )
        for resource_type in LOGGED
    },
    "logs sent elsewhere": changed(PRIVATE, SETTINGS, "properties.workspaceId", "/another"),
    "logs switched off": rewritten(PRIVATE, SETTINGS, '"enabled": true', '"enabled": false'),
    "logs that contain queries": rewritten(PRIVATE, SETTINGS, "AllMetrics", "OperationLogs"),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_variant_is_monitored(name: str) -> None:
    """Each monitored resource sends exactly its categories to the workspace."""
    assert list(check_monitoring(SNAPSHOTS[name])) == []


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_missing_logs_are_found(fault: Snapshot) -> None:
    """For each monitored type, and for logs that are off, elsewhere or too many."""
    assert list(check_monitoring(fault))


def test_control_plane_logs_of_cosmos_go_to_their_own_table() -> None:
    """Without this, Azure writes them to the shared table AzureDiagnostics."""
    settings = [each for each in PRIVATE.of(SETTINGS) if "databaseAccounts" in each.id]
    kinds = [each.at("properties.logAnalyticsDestinationType") for each in settings]
    assert kinds == ["Dedicated"]
