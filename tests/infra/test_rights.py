"""Everybody has exactly the rights that are needed."""

import pytest

from infra.bicep.snapshot import Snapshot
from infra.check.rights import (
    COSMOS_ASSIGNMENTS,
    REDIS_ASSIGNMENTS,
    ROLE_ASSIGNMENTS,
    check_rights,
    rights_in,
)
from tests.infra.planting import REMOVED, SNAPSHOTS, added, changed, removed, rewritten

PRIVATE = SNAPSHOTS["private"]  # it has every service, and a developer
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
ROLE, SCOPE = "properties.roleDefinitionId", "properties.scope"
[GROUP] = PRIVATE.of("Microsoft.Resources/resourceGroups")
[COSMOS] = PRIVATE.of("Microsoft.DocumentDB/databaseAccounts")
FAULTS = {
    "an owner": changed(PRIVATE, ROLE_ASSIGNMENTS, ROLE, f"/x/{OWNER}"),
    "somebody else": changed(
        PRIVATE, ROLE_ASSIGNMENTS, "properties.principalId", "[x.principalId]"
    ),
    "a right on the whole group": added(
        PRIVATE,
        type=ROLE_ASSIGNMENTS,
        id=f"{GROUP.id}/providers/{ROLE_ASSIGNMENTS}/x",
        name="x",
        properties={**PRIVATE.of(ROLE_ASSIGNMENTS)[0].at("properties")},
    ),
    "a right on the whole vault": rewritten(
        PRIVATE, ROLE_ASSIGNMENTS, "/secrets/log-digest-key", ""
    ),
    "every queue there is": rewritten(
        PRIVATE, ROLE_ASSIGNMENTS, "/queueServices/default/queues/consolidate-session/", "/"
    ),
    "a queue without a right": removed(
        PRIVATE, ROLE_ASSIGNMENTS, PRIVATE.of(ROLE_ASSIGNMENTS)[3].id
    ),
    "no principal type": changed(PRIVATE, ROLE_ASSIGNMENTS, "properties.principalType", REMOVED),
    "a person's type for the app": changed(
        PRIVATE, ROLE_ASSIGNMENTS, "properties.principalType", "User"
    ),
    "the whole account": changed(PRIVATE, COSMOS_ASSIGNMENTS, SCOPE, COSMOS.id),
    "another role on data": changed(PRIVATE, COSMOS_ASSIGNMENTS, ROLE, f"{COSMOS.id}/x/1"),
    "data for somebody else": changed(
        PRIVATE, COSMOS_ASSIGNMENTS, "properties.principalId", "[x.principalId]"
    ),
    "no data": removed(PRIVATE, COSMOS_ASSIGNMENTS),
    "no sessions": removed(PRIVATE, REDIS_ASSIGNMENTS),
    "another policy of Redis": changed(
        PRIVATE, REDIS_ASSIGNMENTS, "properties.accessPolicyName", "owner"
    ),
    "sessions for somebody else": changed(
        PRIVATE, REDIS_ASSIGNMENTS, "properties.user.objectId", "[x.principalId]"
    ),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_variant_has_the_rights_it_needs(name: str) -> None:
    """Neither more nor fewer, by principal, role and resource."""
    assert list(check_rights(SNAPSHOTS[name])) == []


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_wrong_right_is_found(fault: Snapshot) -> None:
    """Too many, too few, too wide, or somebody else's."""
    assert list(check_rights(fault))


def test_only_a_person_who_wants_it_gets_data_rights() -> None:
    """Neither a pipeline nor someone who declines is given rights on users' data."""
    developers = {
        name
        for name, snapshot in SNAPSHOTS.items()
        if "developer" in {principal for principal, _, _ in rights_in(snapshot)}
    }
    assert developers == {"default", "private", "existing", "development"}
