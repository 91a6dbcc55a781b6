"""In the private variant, every data service has an address in the network, with its names."""

import pytest

from infra.bicep.snapshot import Snapshot
from infra.check.network import ENDPOINT, ENDPOINTS, check_network
from infra.check.policy import CLOSING
from tests.infra.planting import SNAPSHOTS, changed, removed, rewritten

PRIVATE = SNAPSHOTS["private"]
[NETWORK] = PRIVATE.of("Microsoft.Network/virtualNetworks")
ZONES = "Microsoft.Network/privateDnsZones"
FAULTS = {
    **{
        f"no endpoint for {endpoint.name}": removed(PRIVATE, ENDPOINT, endpoint.name)
        for endpoint in PRIVATE.of(ENDPOINT)
    },
    "an endpoint of another service": rewritten(PRIVATE, ENDPOINT, '["blob"]', '["web"]'),
    "a zone that no endpoint fills": removed(PRIVATE, f"{ENDPOINT}/privateDnsZoneGroups"),
    "a misspelt zone": rewritten(
        PRIVATE, f"{ENDPOINT}/privateDnsZoneGroups", "documents", "document"
    ),
    "a zone without a link": removed(PRIVATE, f"{ZONES}/virtualNetworkLinks"),
    "a link to another network": changed(
        PRIVATE, f"{ZONES}/virtualNetworkLinks", "properties.virtualNetwork.id", "/another"
    ),
    "an app outside of the network": changed(
        PRIVATE, "Microsoft.Web/sites", "properties.virtualNetworkSubnetId", None
    ),
    "an app among the endpoints": changed(
        PRIVATE,
        "Microsoft.Web/sites",
        "properties.virtualNetworkSubnetId",
        f"{NETWORK.id}/subnets/endpoints",
    ),
    "an endpoint beside the app": changed(
        PRIVATE, ENDPOINT, "properties.subnet.id", f"{NETWORK.id}/subnets/app"
    ),
    "a subnet that Flex Consumption cannot use": rewritten(
        PRIVATE,
        "Microsoft.Network/virtualNetworks",
        "Microsoft.App/environments",
        "Microsoft.Web/x",
    ),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_variant_is_connected(name: str) -> None:
    """Nothing is missing in the private variant; the others have no network."""
    assert list(check_network(SNAPSHOTS[name])) == []
    assert SNAPSHOTS[name].is_private == (name in {"private", "existing"})


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_service_that_cannot_be_reached_is_found(fault: Snapshot) -> None:
    """Without an address, a filled and linked zone, or the right subnet."""
    assert list(check_network(fault))


def test_what_closes_has_an_endpoint() -> None:
    """Every type that the policy closes is one that the network must reach."""
    assert ENDPOINTS.keys() == CLOSING.keys()
