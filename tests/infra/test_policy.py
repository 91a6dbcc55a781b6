"""Nothing in Azure accepts a key, listens in clear text or is public in the private variant."""

from dataclasses import replace
from typing import Any

import pytest

from infra.check.policy import CLOSING, RULES, check_policy
from tests.infra.planting import REMOVED, SNAPSHOTS, added, changed

PRIVATE = SNAPSHOTS["private"]  # it has every type
BROKEN: list[tuple[str, str, Any]] = [
    (resource_type, path, wrong)
    for resource_type, rules in RULES.items()
    for path, right in rules.items()
    for wrong in (not right if isinstance(right, bool) else "something else", REMOVED)
    if (right, wrong) != (None, REMOVED)
]
OPENED = [
    (kind, path, opened) for kind, gates in CLOSING.items() for path, (_, opened) in gates.items()
]
CLOSED = [
    (kind, path, closed) for kind, gates in CLOSING.items() for path, (closed, _) in gates.items()
]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_variant_keeps_the_policy(name: str) -> None:
    """No resource of any variant breaks a rule."""
    assert list(check_policy(SNAPSHOTS[name])) == []


@pytest.mark.parametrize(("resource_type", "path", "wrong"), BROKEN)
def test_a_weakened_property_is_found(resource_type: str, path: str, wrong: Any) -> None:
    """Another value is found, and so is none, since Azure's default may be the weak one."""
    found = list(check_policy(changed(PRIVATE, resource_type, path, wrong)))
    assert [path in finding for finding in found] == [True]


@pytest.mark.parametrize(("resource_type", "path", "opened"), OPENED)
def test_a_public_service_in_the_private_variant_is_found(
    resource_type: str, path: str, opened: str
) -> None:
    """Each data service is closed, and so is its firewall."""
    assert any(path in each for each in check_policy(changed(PRIVATE, resource_type, path, opened)))


@pytest.mark.parametrize(("resource_type", "path", "closed"), CLOSED)
def test_a_service_that_nobody_could_reach_is_found(
    resource_type: str, path: str, closed: str
) -> None:
    """Without a network, a closed service would cut off the app."""
    public = replace(
        PRIVATE,
        resources=tuple(each for each in PRIVATE.resources if "/virtualNetworks" not in each.id),
    )
    opened = [finding for finding in check_policy(public) if path in finding]
    assert len(opened) == len(public.of(resource_type)) + len(
        [kind for kind, gates in CLOSING.items() if path in gates and kind != resource_type]
    )
    assert all(repr(closed) in finding for finding in opened)


@pytest.mark.parametrize(
    "resource_type", ["Microsoft.Sql/servers", "Microsoft.Network/publicIPAddresses"]
)
def test_a_type_without_rules_is_found(resource_type: str) -> None:
    """Whoever adds a type decides what must be closed in it."""
    other = added(PRIVATE, type=resource_type, id="/x", name="x")
    assert any(resource_type in finding for finding in check_policy(other))


@pytest.mark.parametrize(
    "leak",
    [
        "[listKeys('/subscriptions/x', '2026-09-01').keys[0].value]",
        "[reference('x').vault.getSecret('y')]",
        "DefaultEndpointsProtocol=https;AccountKey=abc",
        "https://x.blob.core.windows.net/?sv=1&sig=abc",
    ],
)
def test_a_key_in_a_template_is_found(leak: str) -> None:
    """Neither asked for from Azure nor written down."""
    config = "Microsoft.Web/sites/config"
    assert list(check_policy(changed(PRIVATE, config, "properties.CHAT_MODEL", leak)))


def test_a_secret_output_is_found() -> None:
    """Outputs can be read in the deployment history for ever."""
    leaking = replace(PRIVATE, outputs={**PRIVATE.outputs, "BOT_PASSWORD": "x"})
    assert any("BOT_PASSWORD" in finding for finding in check_policy(leaking))


def test_every_rule_has_a_resource() -> None:
    """No row speaks of a type that is not deployed."""
    deployed = {resource.type for resource in PRIVATE.resources}
    assert (RULES.keys() | CLOSING.keys()) - deployed == set()


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_the_parts_of_the_app_find_each_other(name: str) -> None:
    """The app has the one identity, for itself, its package and its secret, and its own plan."""
    snapshot = SNAPSHOTS[name]
    [site], [plan] = snapshot.of("Microsoft.Web/sites"), snapshot.of("Microsoft.Web/serverfarms")
    [identity] = snapshot.of("Microsoft.ManagedIdentity/userAssignedIdentities")
    package = "properties.functionAppConfig.deployment.storage.authentication"
    assert list(site.at("identity.userAssignedIdentities")) == [identity.id]
    assert site.at("properties.keyVaultReferenceIdentity") == identity.id
    assert site.at(f"{package}.userAssignedIdentityResourceId") == identity.id
    assert site.at("properties.serverFarmId") == plan.id


def test_only_http_is_always_ready() -> None:
    """Somebody waits for HTTP; the queue and the timers may take their time to start."""
    scale = "properties.functionAppConfig.scaleAndConcurrency.alwaysReady"
    ready = {
        name: snapshot.of("Microsoft.Web/sites")[0].at(scale)
        for name, snapshot in SNAPSHOTS.items()
    }
    assert ready.pop("production") == [{"name": "http", "instanceCount": 2}]
    assert all(each == [] for each in ready.values())


def test_consistency_is_strong_unless_chosen_otherwise() -> None:
    """A reply to one instance is seen by the next; bounded staleness states its bounds."""
    policies = {
        name: snapshot.of("Microsoft.DocumentDB/databaseAccounts")[0].at(
            "properties.consistencyPolicy"
        )
        for name, snapshot in SNAPSHOTS.items()
    }
    assert policies["default"] == {"defaultConsistencyLevel": "Strong"}
    assert policies["existing"] == {"defaultConsistencyLevel": "Session"}
    assert policies["production"] == {
        "defaultConsistencyLevel": "BoundedStaleness",
        "maxIntervalInSeconds": 5,
        "maxStalenessPrefix": 100,
    }


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_cosmos_can_search_from_the_start(name: str) -> None:
    """Both searches must be enabled when the account is created: containers depend on them."""
    [account] = SNAPSHOTS[name].of("Microsoft.DocumentDB/databaseAccounts")
    search = ["EnableNoSQLVectorSearch", "EnableNoSQLFullTextSearch"]
    serverless = [] if name == "production" else ["EnableServerless"]
    names = [each["name"] for each in account.at("properties.capabilities")]
    assert names == [*search, *serverless]


def test_the_embedding_model_is_never_upgraded_automatically() -> None:
    """Vectors of two models cannot be compared."""
    chat, embedding = SNAPSHOTS["default"].of("Microsoft.CognitiveServices/accounts/deployments")
    upgrade = "properties.versionUpgradeOption"
    assert embedding.at("properties.model.name") == "text-embedding-3-small"
    assert [chat.at(upgrade), embedding.at(upgrade)] == [
        "OnceCurrentVersionExpired",
        "NoAutoUpgrade",
    ]


def test_no_text_of_a_snapshot_names_a_placeholder() -> None:
    """`none` stands for services that a variant does not have, and is deployed nowhere."""
    ids = [each.id for snapshot in SNAPSHOTS.values() for each in snapshot.resources]
    assert [each for each in ids if each.endswith("/none") or "/none/" in each] == []
