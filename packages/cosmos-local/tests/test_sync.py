"""The synchronous SDK, from several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, exceptions

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, Fault, LocalCosmos


@pytest.fixture
def container(cosmos: LocalCosmos) -> Iterator[ContainerProxy]:
    """Connect the synchronous SDK."""
    client = CosmosClient(LOCAL_ENDPOINT, credential=LOCAL_KEY, transport=cosmos.sync_transport())
    yield client.get_database_client("agent-memory").get_container_client("memory")
    client.close()


def test_the_synchronous_sdk_works_unchanged(container: ContainerProxy) -> None:
    """Items, batches, patches, queries and aggregates are the same without async."""
    container.create_item({"id": "1", "user_id": "a", "n": 1})
    container.execute_item_batch([("upsert", ({"id": "2", "user_id": "a", "n": 2},))], "a")
    container.patch_item("2", "a", [{"op": "incr", "path": "/n", "value": 3}])
    found: list[Any] = list(
        container.query_items("SELECT VALUE c.n FROM c ORDER BY c.n DESC", partition_key="a")
    )
    assert found == [5, 1]
    everywhere = "SELECT VALUE SUM(c.n) FROM c"
    total: list[Any] = list(container.query_items(everywhere, enable_cross_partition_query=True))
    assert total == [6]
    assert len(list(container.query_items_change_feed(start_time="Beginning"))) == 2


def test_without_a_partition_key_the_caller_must_say_so(container: ContainerProxy) -> None:
    """A query that names no partition is not answered by accident."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        list(container.query_items("SELECT * FROM c"))
    assert refused.value.status_code == 400


def test_threads_do_not_lose_each_others_writes(container: ContainerProxy) -> None:
    """Four threads count to a hundred."""
    container.create_item({"id": "1", "user_id": "a", "n": 0})

    def count() -> None:
        for _ in range(25):
            container.patch_item("1", "a", [{"op": "incr", "path": "/n", "value": 1}])

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert container.read_item("1", "a")["n"] == 100


def test_faults_reach_the_synchronous_sdk(cosmos: LocalCosmos, container: ContainerProxy) -> None:
    """Throttling is waited out, an applied error was applied."""
    cosmos.faults.add(Fault(status=429, kind="create", retry_after_ms=1))
    container.create_item({"id": "1", "user_id": "a"})
    cosmos.faults.add(Fault(status=408, kind="create", applied=True))
    with pytest.raises(exceptions.CosmosHttpResponseError):
        container.create_item({"id": "2", "user_id": "a"})
    assert len(cosmos.rows("memory")) == 2
