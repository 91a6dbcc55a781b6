"""Containers and queues: what is deployed is what the code opens."""

import json
from collections.abc import Iterator

from infra.bicep.compiler import INFRA
from infra.bicep.snapshot import Snapshot

CONTAINERS = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"
QUEUES = "Microsoft.Storage/storageAccounts/queueServices/queues"


def check_stored(snapshot: Snapshot) -> Iterator[str]:
    """Yield containers and queues that differ from infra/containers.json and infra/queues.json."""
    declared = json.loads((INFRA / "containers.json").read_text())
    containers = {each.name: each.at("properties.resource") for each in snapshot.of(CONTAINERS)}
    if containers != {each["id"]: each for each in declared["containers"]}:
        yield "the containers are not those of infra/containers.json"
    databases = {each.name for each in snapshot.of(CONTAINERS.rpartition("/")[0])}
    if databases != {declared["database"]}:
        yield f"the database is {databases}, not {declared['database']}"
    queues = {each.name for each in snapshot.of(QUEUES)}
    wanted = json.loads((INFRA / "queues.json").read_text())["queues"]
    if queues != {*wanted, *(f"{queue}-poison" for queue in wanted)}:
        yield "the queues are not those of infra/queues.json, each with its poison queue"
