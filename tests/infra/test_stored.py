"""Containers and queues are those that the code opens."""

import ast
import json
import re

import pytest

from infra.bicep.snapshot import Snapshot
from infra.check.stored import CONTAINERS, check_stored
from tests.infra.planting import ROOT, SNAPSHOTS, changed, removed
from tests.infra.product import MAX_DELIVERIES, POISON, QUEUE, opened_containers

DEFAULT = SNAPSHOTS["default"]
DECLARED = json.loads((ROOT / "infra" / "containers.json").read_text())
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
[NOT_YET] = re.findall(r"not used by the app yet: (.*?)\n\n", DEPLOY, re.DOTALL)
QUEUES = "Microsoft.Storage/storageAccounts/queueServices/queues"
RESOURCE = "properties.resource"
FAULTS = {
    "a missing container": removed(DEFAULT, CONTAINERS),
    "another partition key": changed(
        DEFAULT, CONTAINERS, f"{RESOURCE}.partitionKey.paths", ["/id"]
    ),
    "items that never expire": changed(DEFAULT, CONTAINERS, f"{RESOURCE}.defaultTtl", None),
    "another index": changed(DEFAULT, CONTAINERS, f"{RESOURCE}.indexingPolicy.includedPaths", []),
    "another database": changed(DEFAULT, CONTAINERS.rpartition("/")[0], "name", "cosmos/other"),
    "a missing queue": removed(DEFAULT, QUEUES, QUEUE),
    "a missing poison queue": removed(DEFAULT, QUEUES, POISON),
    "another queue": changed(DEFAULT, QUEUES, "name", "account/default/consolidate-sessions"),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_variant_has_the_containers_and_queues(name: str) -> None:
    """Exactly those of infra/containers.json and infra/queues.json."""
    assert list(check_stored(SNAPSHOTS[name])) == []


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_difference_from_the_declaration_is_found(fault: Snapshot) -> None:
    """A container, a queue, their names, or what is declared of them."""
    assert list(check_stored(fault))


def test_every_queue_that_the_code_names_is_declared() -> None:
    """A trigger or an output on another queue would never run."""
    tree = ast.parse((ROOT / "function_app.py").read_text())
    named = {
        keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "queue_name" and isinstance(keyword.value, ast.Constant)
    }
    declared = json.loads((ROOT / "infra" / "queues.json").read_text())["queues"]
    assert named == {QUEUE} == set(declared)
    assert f"{QUEUE}-poison" == POISON


def test_every_container_that_the_code_opens_is_declared() -> None:
    """A container that is declared and not opened yet is documented as such."""
    declared = {container["id"] for container in DECLARED["containers"]}
    opened = opened_containers()
    assert opened - declared == set()
    assert declared - opened == set(re.findall(r"the container `(\w+)`", NOT_YET))


def test_a_message_is_given_up_when_the_code_thinks_so() -> None:
    """The last delivery, which the code counts as a failure beforehand, is the host's last."""
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    assert queues["maxDequeueCount"] == MAX_DELIVERIES


def test_every_container_is_partitioned_by_user_and_can_forget() -> None:
    """One user is one partition, and items can expire."""
    paths = {tuple(container["partitionKey"]["paths"]) for container in DECLARED["containers"]}
    assert paths == {("/user_id",)}
    assert {container["defaultTtl"] for container in DECLARED["containers"]} == {-1}


def test_vectors_and_their_indexes_agree() -> None:
    """Each vector has an index, is not in the range index, and has as many dimensions as others."""
    [memory] = [each for each in DECLARED["containers"] if "vectorEmbeddingPolicy" in each]
    vectors, indexing = (
        memory["vectorEmbeddingPolicy"]["vectorEmbeddings"],
        memory["indexingPolicy"],
    )
    paths = [vector["path"] for vector in vectors]
    excluded = {each["path"] for each in indexing["excludedPaths"]}
    assert paths == [index["path"] for index in indexing["vectorIndexes"]]
    assert {f"{path}/*" for path in paths} <= excluded
    assert len({vector["dimensions"] for vector in vectors}) == 1
    text_paths = [{"path": each["path"]} for each in memory["fullTextPolicy"]["fullTextPaths"]]
    assert indexing["fullTextIndexes"] == text_paths
