"""`python -m infra.emulator`, after `docker compose up`: waits for the emulator, then makes what is missing."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from azure.core.exceptions import AzureError
from azure.cosmos import CosmosClient, PartitionKey

ROOT = Path(__file__).parents[2]
DECLARED = json.loads((ROOT / "infra" / "containers.json").read_text())
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]  # with the emulator's known key
START_SECONDS = 120.0  # the image starts a database of its own first


def main(endpoint: str = EXAMPLE["COSMOS_ENDPOINT"], wait: float = START_SECONDS) -> None:
    """Make the containers. Twice is harmless."""
    with _connected(endpoint, wait) as client:
        for name in make_containers(client):
            sys.stdout.write(f"{name}\n")


def make_containers(client: CosmosClient) -> Iterator[str]:
    """Make what is missing of database and containers; yield the names of all."""
    database = client.create_database_if_not_exists(DECLARED["database"])
    for container in DECLARED["containers"]:
        key = PartitionKey(path=container["partitionKey"]["paths"][0])
        database.create_container_if_not_exists(container["id"], key, default_ttl=container["defaultTtl"])
        yield f"{DECLARED['database']}/{container['id']}"


def _connected(endpoint: str, wait: float) -> CosmosClient:
    """A client, as soon as there is something to connect to."""
    deadline = time.monotonic() + wait
    while True:
        try:
            return CosmosClient(endpoint, EXAMPLE["COSMOS_KEY"], retry_total=0, connection_timeout=2)
        except AzureError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


if __name__ == "__main__":
    main()
