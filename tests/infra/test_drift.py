"""Bicep, the code and the documents say the same of settings, containers and queues."""

import ast
import json
from pathlib import Path

import pytest
from shared.adapters.queue.storage_queue import POISON, QUEUE
from shared.bootstrap.background import MAX_DELIVERIES

from infra.check.app_settings import settings_of_module, settings_of_site
from infra.check.bicep import operands
from infra.check.run import bicep_files
from infra.check.values import (
    Choice,
    Known,
    Listing,
    Record,
    Scope,
    Value,
    at,
    evaluate,
    leaves,
    records,
    resource_body,
)
from infra.hooks.write_local_settings import DEPLOYED
from shared.settings import AZURE_MARKS, AuthMode, Settings

ROOT = Path(__file__).resolve().parents[2]
LAPTOP_ONLY = {
    "COSMOS_KEY",
    "EMBEDDING_API_KEY",
    "EMBEDDING_BASE_URL",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "QUEUE_KEY",
    "REDIS_SOCKET",
}  # keys, and a server of our own
OF_THE_PLATFORM = {  # read by the Functions host or its worker, not by us
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "PYTHON_ENABLE_INIT_INDEXING",
    "PYTHON_ENABLE_OPENTELEMETRY",
}
FIELDS = {name.upper(): field for name, field in Settings.model_fields.items()}
FILES = {file.path.stem: file for file in bicep_files()}
GIVEN = {**settings_of_module(FILES["main"]), **settings_of_site(FILES["app"])}
DECLARED = json.loads((ROOT / "infra" / "containers.json").read_text())
QUEUES = json.loads((ROOT / "infra" / "queues.json").read_text())["queues"]


def test_every_app_setting_is_read() -> None:
    """What Bicep sets is a field of shared/settings.py or a setting of the platform."""
    assert GIVEN.keys() - FIELDS.keys() - OF_THE_PLATFORM == set()


def test_every_setting_azure_needs_is_given() -> None:
    """A setting without a value of its own is set by Bicep; the others can be by KEEPSAKE_SETTINGS."""
    needed = {
        name for name, field in FIELDS.items() if field.is_required() or field.default is None
    }
    assert needed - GIVEN.keys() - LAPTOP_ONLY - set(AZURE_MARKS) == set()


def test_the_lists_of_exceptions_are_no_longer_than_needed() -> None:
    """An exception for a setting that is gone would hide the next one of its name."""
    assert (LAPTOP_ONLY | set(AZURE_MARKS)) - FIELDS.keys() == set()
    assert OF_THE_PLATFORM - GIVEN.keys() == set()


def test_azure_never_trusts_a_header() -> None:
    """AUTH_MODE is one that the code knows and that proves who the user is."""
    modes = set(constants(GIVEN["AUTH_MODE"]))
    assert modes
    assert modes <= set(AuthMode) - {AuthMode.LOCAL}


def test_tokens_are_told_of_where_they_are_shown() -> None:
    """What AUTH_MODE=entra needs is given with it, and with nothing else."""
    main = FILES["main"]
    given = evaluate(Scope(main), operands(main.variables["authSettings"])[-1])
    assert isinstance(given, Choice)
    assert given.condition == "authMode == 'entra'"
    assert [set(record.fields) for record in records(given)] == [
        {"ENTRA_TENANT_IDS", "ENTRA_AUDIENCE", "ENTRA_ACTING_CLIENT_IDS"},
        set(),
    ]


def test_redis_is_told_of_in_either_mode() -> None:
    """Ours or theirs, the app is given host, port and TLS; with REDIS_MODE=none nothing."""
    main = FILES["main"]
    given = records(evaluate(Scope(main), operands(main.variables["redisSettings"])[-1]))
    assert [set(record.fields) for record in given] == [
        set(),
        *[{"REDIS_HOST", "REDIS_PORT", "REDIS_TLS"}] * 2,
    ]


def test_redis_is_never_spoken_to_in_clear_text() -> None:
    """Whatever else is set, TLS stays on."""
    assert set(constants(GIVEN["REDIS_TLS"])) == {"true"}


@pytest.mark.parametrize("name", ["AUTH_MODE", "REDIS_TLS", "COSMOS_ENDPOINT", "LOG_DIGEST_KEY"])
def test_nobody_can_set_aside_what_is_fixed(name: str) -> None:
    """`settings` comes first in the union, so that what follows it wins."""
    written = (FILES["main"].modules["app"].text or b"").decode()
    assert "appSettings: union(settings, redisSettings, authSettings, {" in written
    assert name in GIVEN


def test_the_containers_are_those_of_the_declaration() -> None:
    """Bicep makes exactly the containers, keys, times to live and policies that infra/containers.json declares."""
    body = resource_body(FILES["cosmos"], FILES["cosmos"].resources["containers"])
    assert [plain(made) for made in records(at(body, "properties.resource"))] == DECLARED[
        "containers"
    ]
    assert constants(at(body, "name")) == [container["id"] for container in DECLARED["containers"]]


def test_the_database_is_that_of_the_declaration() -> None:
    """Its name stands in one place, which is also the default of the code."""
    cosmos = FILES["cosmos"]
    assert constants(at(resource_body(cosmos, cosmos.resources["database"]), "name")) == [
        DECLARED["database"]
    ]
    assert FIELDS["COSMOS_DATABASE"].default == DECLARED["database"]


def test_every_container_is_partitioned_by_user_and_can_forget() -> None:
    """One user is one partition, and time to live works."""
    paths = {tuple(container["partitionKey"]["paths"]) for container in DECLARED["containers"]}
    assert paths == {("/user_id",)}
    assert {container["defaultTtl"] for container in DECLARED["containers"]} == {-1}


def test_vectors_and_their_indexes_agree() -> None:
    """Every vector has an index, is kept out of the range index, and has as many numbers as the others."""
    memory = next(
        container for container in DECLARED["containers"] if "vectorEmbeddingPolicy" in container
    )
    vectors = memory["vectorEmbeddingPolicy"]["vectorEmbeddings"]
    indexing = memory["indexingPolicy"]
    paths = [vector["path"] for vector in vectors]
    assert paths == [index["path"] for index in indexing["vectorIndexes"]]
    assert {f"{path}/*" for path in paths} <= {
        excluded["path"] for excluded in indexing["excludedPaths"]
    }
    assert len({vector["dimensions"] for vector in vectors}) == 1
    assert indexing["fullTextIndexes"] == [
        {"path": path["path"]} for path in memory["fullTextPolicy"]["fullTextPaths"]
    ]


def test_the_queues_are_those_of_the_declaration() -> None:
    """Each queue is made, and beside it the one for messages that cannot be dealt with."""
    storage = FILES["storage"]
    assert constants(at(resource_body(storage, storage.resources["queues"]), "name")) == QUEUES
    poison = leaves(at(resource_body(storage, storage.resources["poisonQueues"]), "name"))
    assert [getattr(name, "source", "") for name in poison] == ["${queue}-poison"]


def test_the_app_has_rights_on_these_queues_only() -> None:
    """The host works on each queue and its poison queue; other queues of the account are not its business."""
    access = FILES["access"]
    named = leaves(at(resource_body(access, access.resources["queues"]), "name"))
    assert [leaf.constant if isinstance(leaf, Known) else leaf.source for leaf in named] == [
        *QUEUES,
        "${queue}-poison",
    ]


def test_every_queue_the_code_names_is_made() -> None:
    """A trigger or an output on a queue that Bicep does not make would never run."""
    tree = ast.parse((ROOT / "function_app.py").read_text())
    named = {
        keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "queue_name" and isinstance(keyword.value, ast.Constant)
    }
    assert named == {QUEUE} == set(QUEUES)
    assert f"{QUEUE}-poison" == POISON


def test_a_message_is_given_up_when_the_code_thinks_so() -> None:
    """The last delivery, which counts as a failure beforehand, is the host's last."""
    queues = json.loads((ROOT / "host.json").read_text())["extensions"]["queues"]
    assert queues["maxDequeueCount"] == MAX_DELIVERIES


def test_the_hook_hands_on_every_output_that_is_a_setting() -> None:
    """local.settings.json gets what the app reads of what was deployed."""
    assert set(DEPLOYED) == set(FILES["main"].outputs) & FIELDS.keys()


def test_the_python_that_is_deployed_is_one_the_tests_run_on() -> None:
    """The versions on offer are those of pyproject.toml."""
    offered = at(resource_body(FILES["main"], FILES["main"].modules["app"]), "params.pythonVersion")
    assert constants(offered) == ["3.11", "3.12", "3.13"]
    assert 'requires-python = ">=3.11,<3.14"' in (ROOT / "pyproject.toml").read_text()


def constants(value: Value | None) -> list[object]:
    """The constants a value can be."""
    return [leaf.constant for leaf in leaves(value) if isinstance(leaf, Known)]


def plain(value: Value) -> object:
    """A value that is constant throughout, as JSON has it."""
    match value:
        case Known(constant):
            return constant
        case Listing(items):
            return [plain(item) for item in items]
        case Record(fields):
            return {name: plain(part) for name, part in fields.items()}
    raise AssertionError(value)
