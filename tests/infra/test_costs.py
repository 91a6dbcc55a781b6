"""What is deployed has a price, and docs/deploy.md says which."""

import re
from dataclasses import replace
from typing import Any

import pytest

from infra.bicep import FOLDER
from infra.costs import (
    ALWAYS_READY_GB,
    DNS_ZONE,
    ENDPOINT,
    KEPT_DAYS,
    LOADS,
    LOG_GB,
    REDIS,
    SEARCH,
    TURNS_A_DAY,
    NoPrice,
    alerts,
    always_ready,
    check_prices,
    cosmos,
    fixed_table,
    functions,
    load_table,
    network,
    redis,
    search,
    tables,
)
from shared.settings import Settings
from tests.infra.planting import ROOT, SNAPSHOTS, added, changed

DOC = (ROOT / "docs" / "deploy.md").read_text()
PRODUCTION, PRIVATE = SNAPSHOTS["production"], SNAPSHOTS["private"]
SCALE = "properties.functionAppConfig.scaleAndConcurrency"


def test_the_tables_are_those_of_the_arithmetic() -> None:
    """docs/deploy.md has today's prices."""
    assert f"from infra/ -->\n\n{tables()}\n\n<!-- end of costs" in DOC


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_variant_has_a_price(name: str) -> None:
    """Each SKU and model that is deployed."""
    check_prices(SNAPSHOTS[name])


@pytest.mark.parametrize(
    ("resource_type", "path", "other"),
    [
        ("Microsoft.Cache/redisEnterprise", "sku.name", "Balanced_B50"),
        ("Microsoft.Search/searchServices", "sku.name", "standard3"),
        ("Microsoft.BotService/botServices", "sku.name", "S1"),
        ("Microsoft.Storage/storageAccounts", "sku.name", "Premium_LRS"),
        ("Microsoft.Web/serverfarms", "sku.name", "EP1"),
        (
            "Microsoft.CognitiveServices/accounts/deployments",
            "properties.model.name",
            "gpt-6",
        ),
    ],
)
def test_a_sku_without_a_price_is_found(resource_type: str, path: str, other: str) -> None:
    """Nothing is deployed that the tables leave out."""
    with pytest.raises(NoPrice, match=other):
        check_prices(changed(PRIVATE, resource_type, path, other))


def test_a_new_kind_of_paid_resource_is_found() -> None:
    """A type that the arithmetic does not know has a SKU that it does not know."""
    other = added(PRIVATE, type="Microsoft.Sql/servers", id="/x", name="x", sku={"name": "GP_Gen5"})
    with pytest.raises(NoPrice, match="GP_Gen5"):
        check_prices(other)


def test_sizes_change_the_price() -> None:
    """Each price follows what is deployed, not a constant."""
    small = {"name": "Balanced_B0"}
    assert redis(changed(PRODUCTION, "Microsoft.Cache/redisEnterprise", "sku", small)) == 23
    single = changed(
        PRODUCTION, "Microsoft.Cache/redisEnterprise", "properties.highAvailability", "Disabled"
    )
    assert redis(single) == 23
    four = changed(PRODUCTION, "Microsoft.Web/sites", f"{SCALE}.instanceMemoryMB", 4096)
    assert always_ready(four) == 2 * always_ready(PRODUCTION) == 84
    assert functions(four, LOADS[2]) > 1.9 * functions(PRODUCTION, LOADS[2])
    one = changed(PRIVATE, "Microsoft.Search/searchServices", "properties.replicaCount", 1)
    assert (search(PRIVATE), search(one)) == (148, 74)
    assert network(PRIVATE) == pytest.approx(8 * 7.30 + 10 * 0.50)
    assert alerts(PRIVATE) == pytest.approx(3.10)


def test_autoscale_costs_at_least_a_tenth_of_each_container() -> None:
    """A higher maximum costs more, even when nobody uses it."""
    container = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"
    maximum = "properties.options.autoscaleSettings.maxThroughput"
    idle = replace(LOADS[2], users=0)
    assert cosmos(SNAPSHOTS["default"], idle) == 0
    assert cosmos(PRODUCTION, idle) == pytest.approx(3 * 1000 / 100 * 0.012 * 730)
    doubled = changed(PRODUCTION, container, maximum, 20_000)
    assert cosmos(doubled, idle) > cosmos(PRODUCTION, idle)


def test_the_totals_are_sums() -> None:
    """Rounded rows may differ from a rounded sum by one for each row."""
    for table in (load_table(SNAPSHOTS), fixed_table(SNAPSHOTS)):
        rows = [numbers(line) for line in table.splitlines()[2:]]
        total = next(numbers(line) for line in table.splitlines() if "**all of it**" in line)
        parts = rows[: rows.index(total)]
        for column, amount in enumerate(total):
            assert abs(sum(row[column] for row in parts) - amount) <= len(parts)


def test_the_prices_in_descriptions_are_those_of_the_arithmetic() -> None:
    """Parameters say what they cost in the same numbers; no variant keeps logs for longer."""
    described = set(re.findall(r"\$([\d.]*\d)", FOLDER.main.read_text()))
    retention, instance = 0.10, 2 * ALWAYS_READY_GB
    prices = {ENDPOINT, DNS_ZONE, LOG_GB, retention, instance, *REDIS.values(), *SEARCH.values()}
    assert {float(price) for price in described} == prices


def test_turns_are_kept_as_long_as_in_the_app() -> None:
    """Storage is priced with the app's retention, and so is the limit of 1 TB in docs/deploy.md."""
    assert Settings.model_fields["retention_days"].default == KEPT_DAYS
    kept = TURNS_A_DAY * KEPT_DAYS
    assert [round(1e9 / kept / kilobytes, -3) for kilobytes in (24, 8)] == [46_000, 139_000]
    assert "some 45,000 to 140,000 users" in DOC


def numbers(line: str) -> list[int]:
    """The numbers of a row."""
    cells: list[Any] = line.strip("| ").split("|")[1:]
    return [int(cell.replace(",", "")) for cell in cells]
