"""Names are plain text and valid in Azure, whatever the environment is called."""

import json

import pytest

from infra.check.names import LIMITS, check_names
from infra.check.policy import UNRULED
from tests.infra.planting import SNAPSHOTS, added, changed

DEFAULT = SNAPSHOTS["default"]
TOO_LONG = "n" * 300


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_name_is_accepted(name: str) -> None:
    """In each variant: one has the longest name, one capitals and hyphens, one names of its own."""
    assert list(check_names(SNAPSHOTS[name])) == []


def test_the_variants_have_the_names_that_are_most_at_risk() -> None:
    """The longest environment name, and one with capitals and hyphens."""
    groups = {
        name: snapshot.of("Microsoft.Resources/resourceGroups")[0].name
        for name, snapshot in SNAPSHOTS.items()
    }
    assert len(groups["production"]) == len("rg-") + 48
    assert groups["minimal"] == "rg-My-Smallest-TEST"
    assert groups["existing"] == "memory-prod"


@pytest.mark.parametrize(
    "resource_type",
    sorted(
        {each.type for snapshot in SNAPSHOTS.values() for each in snapshot.resources} & {*LIMITS}
    ),
)
def test_a_name_that_is_too_long_is_found(resource_type: str) -> None:
    """For each type that has a limit."""
    [snapshot, *_] = [each for each in SNAPSHOTS.values() if each.of(resource_type)]
    assert list(check_names(changed(snapshot, resource_type, "name", TOO_LONG)))


@pytest.mark.parametrize(
    ("resource_type", "name"),
    [
        ("Microsoft.Storage/storageAccounts", "stMemory"),
        ("Microsoft.DocumentDB/databaseAccounts", "Cosmos-Memory"),
        ("Microsoft.Search/searchServices", "srch--memory"),
        ("Microsoft.KeyVault/vaults", "kv_memory"),
        ("Microsoft.Consumption/budgets", "keepsake.monthly"),
        ("Microsoft.Web/sites", "[format('func-{0}', reference('x').y)]"),
    ],
)
def test_a_name_that_azure_rejects_is_found(resource_type: str, name: str) -> None:
    """Capitals, hyphens and dots where they are not allowed; expressions anywhere."""
    assert list(check_names(changed(SNAPSHOTS["private"], resource_type, "name", name)))


def test_two_resources_of_one_name_are_found() -> None:
    """Names that collide after an override would deploy one resource over another."""
    first = json.loads(json.dumps(DEFAULT.resources[3].body))
    assert list(check_names(added(DEFAULT, **first)))


def test_every_top_level_type_has_a_limit() -> None:
    """Whoever adds a type looks up its limits; Azure decides the names of zones and assignments."""
    fixed = {
        "Microsoft.Authorization/roleAssignments",
        "Microsoft.Insights/diagnosticSettings",
        "Microsoft.Network/privateDnsZones",
    }
    deployed = {each.type for snapshot in SNAPSHOTS.values() for each in snapshot.resources}
    assert {each for each in deployed if each.count("/") == 1} - LIMITS.keys() == fixed
    assert all(UNRULED.fullmatch(each) for each in fixed)
