"""The private variant: each data service has an address in the network, to which its names lead."""

from collections.abc import Iterator

from infra.bicep.snapshot import Resource, Snapshot

ENDPOINT = "Microsoft.Network/privateEndpoints"
ENDPOINTS = {  # which services of a resource need an address, and the zones of their names
    "Microsoft.Storage/storageAccounts": {
        "blob": ["privatelink.blob.core.windows.net"],
        "queue": ["privatelink.queue.core.windows.net"],
        "table": ["privatelink.table.core.windows.net"],
    },
    "Microsoft.DocumentDB/databaseAccounts": {"Sql": ["privatelink.documents.azure.com"]},
    "Microsoft.KeyVault/vaults": {"vault": ["privatelink.vaultcore.azure.net"]},
    "Microsoft.Cache/redisEnterprise": {"redisEnterprise": ["privatelink.redis.azure.net"]},
    "Microsoft.Search/searchServices": {"searchService": ["privatelink.search.windows.net"]},
    "Microsoft.CognitiveServices/accounts": {
        "account": [
            f"privatelink.{name}.azure.com"
            for name in ("cognitiveservices", "openai", "services.ai")
        ]
    },
}


def check_network(snapshot: Snapshot) -> Iterator[str]:
    """Yield services without an endpoint, zones that resolve nothing, and subnets that mismatch."""
    if not snapshot.is_private:
        return
    reached = {target for each in snapshot.of(ENDPOINT) if (target := _target(snapshot, each))}
    for resource_type, services in ENDPOINTS.items():
        for resource in snapshot.of(resource_type):
            for group, zones in services.items():
                if (resource.id, group, tuple(zones)) not in reached:
                    yield f"{resource.name}: no endpoint for {group} with {', '.join(zones)}"
    yield from _unlinked(snapshot)
    yield from _misplaced(snapshot)


def _target(snapshot: Snapshot, endpoint: Resource) -> tuple[str, str, tuple[str, ...]] | None:
    """Which resource, which of its services, and the zones that the endpoint fills."""
    [connection] = endpoint.at("properties.privateLinkServiceConnections")
    zones = [
        config["properties"]["privateDnsZoneId"].rpartition("/")[2]
        for group in snapshot.of(f"{ENDPOINT}/privateDnsZoneGroups")
        if group.id.startswith(f"{endpoint.id}/")
        for config in group.at("properties.privateDnsZoneConfigs")
    ]
    properties = connection["properties"]
    return properties["privateLinkServiceId"], properties["groupIds"][0], tuple(zones)


def _unlinked(snapshot: Snapshot) -> Iterator[str]:
    [network] = snapshot.of("Microsoft.Network/virtualNetworks")
    links = snapshot.of("Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    linked = [link.id for link in links if link.at("properties.virtualNetwork.id") == network.id]
    for zone in snapshot.of("Microsoft.Network/privateDnsZones"):
        if not any(link.startswith(f"{zone.id}/") for link in linked):
            yield f"{zone.name}: not linked to the network"


def _misplaced(snapshot: Snapshot) -> Iterator[str]:
    """Flex Consumption needs a delegated subnet to itself."""
    [network] = snapshot.of("Microsoft.Network/virtualNetworks")
    app = {
        f"{network.id}/subnets/{subnet['name']}"
        for subnet in network.at("properties.subnets")
        if "Microsoft.App/environments" in str(subnet["properties"].get("delegations"))
    }
    for site in snapshot.of("Microsoft.Web/sites"):
        if site.at("properties.virtualNetworkSubnetId") not in app:
            yield f"{site.name}: not in the subnet that is delegated to Microsoft.App/environments"
    for endpoint in snapshot.of(ENDPOINT):
        if endpoint.at("properties.subnet.id") in app:
            yield f"{endpoint.name}: in the subnet of the app"
