"""`python -m infra.emulator`, after `docker compose up`: wait, then create what is missing."""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from azure.core.exceptions import AzureError, ResourceExistsError
from azure.cosmos import CosmosClient, PartitionKey
from azure.storage.queue import QueueServiceClient

ROOT = Path(__file__).parents[2]
DECLARED = json.loads((ROOT / "infra" / "containers.json").read_text())
QUEUES = json.loads((ROOT / "infra" / "queues.json").read_text())["queues"]
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())[
    "Values"
]  # with the emulator's known key
START_SECONDS = 120.0  # the image starts a database of its own first


def main() -> None:
    """Make queues and, unless asked for `--queues` alone, containers. Twice is harmless."""
    parser = argparse.ArgumentParser(prog="python -m infra.emulator", description=__doc__)
    parser.add_argument(
        "--queues", action="store_true", help="only Azurite's queues: the database is in Azure"
    )
    made = make_queues(EXAMPLE["QUEUE_ENDPOINT"])
    if not parser.parse_args().queues:
        made = chain(made, make_containers(EXAMPLE["COSMOS_ENDPOINT"]))
    for name in made:
        sys.stdout.write(f"{name}\n")


def make_containers(endpoint: str, wait: float = START_SECONDS) -> Iterator[str]:
    """Create the missing database and containers; yield the names of all. Idempotent."""
    with _connected(endpoint, wait) as client:
        database = client.create_database_if_not_exists(DECLARED["database"])
        for container in DECLARED["containers"]:
            key = PartitionKey(path=container["partitionKey"]["paths"][0])
            database.create_container_if_not_exists(
                container["id"], key, default_ttl=container["defaultTtl"]
            )
            yield f"{DECLARED['database']}/{container['id']}"


def make_queues(endpoint: str) -> Iterator[str]:
    """Create the missing queues and poison queues; yield the names of all. Idempotent."""
    with QueueServiceClient(endpoint, credential=EXAMPLE["QUEUE_KEY"]) as client:
        for name in (full for queue in QUEUES for full in (queue, f"{queue}-poison")):
            with contextlib.suppress(ResourceExistsError):
                client.create_queue(name)
            yield name


def _connected(endpoint: str, wait: float) -> CosmosClient:
    """A client, as soon as there is something to connect to."""
    deadline = time.monotonic() + wait
    while True:
        try:
            return CosmosClient(
                endpoint, EXAMPLE["COSMOS_KEY"], retry_total=0, connection_timeout=2
            )
        except AzureError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


if __name__ == "__main__":
    main()
