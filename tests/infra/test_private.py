"""With PRIVATE_NETWORK, every data service has an address in the network, and its names lead there."""

import re

from infra.check.bicep import text
from infra.check.run import bicep_files
from infra.check.values import (
    Known,
    Scope,
    Value,
    at,
    evaluate,
    items_of,
    leaves,
    records,
    resource_body,
)

FILES = {file.path.stem: file for file in bicep_files()}
ENDPOINTS = FILES["private-endpoints"]
STORAGE = "${environment().suffixes.storage}"
ZONES = {  # of each service's names, as Azure's DNS has them
    "blob": [f"privatelink.blob.{STORAGE}"],
    "queue": [f"privatelink.queue.{STORAGE}"],
    "table": [f"privatelink.table.{STORAGE}"],
    "Sql": ["privatelink.documents.azure.com"],
    "vault": ["privatelink.vaultcore.azure.net"],
    "account": [
        "privatelink.cognitiveservices.azure.com",
        "privatelink.openai.azure.com",
        "privatelink.services.ai.azure.com",
    ],
    "redisEnterprise": ["privatelink.redis.azure.net"],
    "searchService": ["privatelink.search.windows.net"],
}


def test_what_closes_has_an_endpoint() -> None:
    """Each module that is told of the private network hands its resource to the endpoints."""
    main = FILES["main"]
    closing = {
        name
        for name, node in main.modules.items()
        if "privateNetwork: privateNetwork" in text(node)
    }
    reached = set(re.findall(r"(\w+)!?\.outputs\.id\b", text(main.modules["privateEndpoints"])))
    assert closing
    assert reached - {"network"} == closing


def test_each_service_has_its_zones() -> None:
    """A name that leads past the endpoint would find a closed door."""
    targets = [
        record
        for item in items_of(
            evaluate(Scope(ENDPOINTS), ENDPOINTS.variables["targets"].named_children[-1])
        )
        for record in records(item)
    ]
    assert {
        words(at(target, "groupId"))[0]: words(at(target, "zones")) for target in targets
    } == ZONES


def test_each_zone_is_known_in_the_network_and_to_the_endpoint() -> None:
    """A zone that is linked to no network, or filled by no endpoint, resolves nothing."""
    file = FILES["private-endpoint"]
    links, group = (resource_body(file, file.resources[name]) for name in ("links", "zoneGroup"))
    assert words(at(links, "properties.virtualNetwork.id")) == ["networkId"]
    configs = items_of(at(group, "properties.privateDnsZoneConfigs") or group)
    assert [words(at(config, "properties.privateDnsZoneId")) for config in configs] == [
        ["dnsZones[i].id"]
    ]


def test_the_app_is_in_the_network_that_has_the_endpoints() -> None:
    """Flex Consumption wants a subnet to itself, and endpoints theirs."""
    network = resource_body(FILES["network"], FILES["network"].resources["network"])
    app, endpoints = items_of(at(network, "properties.subnets") or network)
    [delegation] = items_of(at(app, "properties.delegations") or app)
    assert words(at(delegation, "properties.serviceName")) == ["Microsoft.App/environments"]
    names = [words(at(subnet, "name"))[0] for subnet in (app, endpoints)]
    outputs = [text(FILES["network"].outputs[name]) for name in ("appSubnetId", "endpointSubnetId")]
    assert [
        output.endswith(f"/subnets/{name}'") for name, output in zip(names, outputs, strict=True)
    ] == [True, True]


def words(value: Value | None) -> list[str]:
    """What a value can be, as text; what is not constant as it is written."""
    return [
        str(leaf.constant) if isinstance(leaf, Known) else leaf.source for leaf in leaves(value)
    ]
