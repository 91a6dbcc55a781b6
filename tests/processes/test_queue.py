"""Timer, queue and queue function together: the real worker library, a queue pump, and Azurite."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from azure.cosmos import CosmosClient

from cosmos_local import LOCAL_KEY
from tests.support.azurite import Azurite, can_run
from tests.support.processes import program, server, wait_until

pytestmark = [
    pytest.mark.xdist_group("worker"),
    pytest.mark.skipif(not can_run(), reason="SKIPPED: Azurite is not installed (it needs npm)"),
]
QUEUE, POISON = "consolidate-session", "consolidate-session-poison"
DUE = "SELECT c.id, c.user_id FROM c WHERE c.kind = 'session' AND IS_STRING(c.due_at)"
TURN = {"messages": [{"role": "user", "content": "My cat is called Mina."}]}


@pytest.fixture
def queues(azurite: Azurite) -> Azurite:
    """Both queues, empty."""
    azurite.reset()
    return azurite


def count_messages(queues: Azurite, name: str) -> int:
    """The approximate number of messages on a queue."""
    with queues.queue(name) as queue:
        return queue.get_queue_properties().approximate_message_count or 0


def send(queues: Azurite, text: str) -> None:
    """Put a message on the queue, with whatever content."""
    with queues.queue(QUEUE) as queue:
        queue.send_message(base64.b64encode(text.encode()).decode())


def record_turn(worker: httpx.Client, user: str, session: str = "s") -> None:
    """Record a turn."""
    worker.put(
        f"/api/sessions/{session}/turns/t", json=TURN, headers={"x-user-id": user}
    ).raise_for_status()


def set_on_headers(cosmos_address: str, fields: Mapping[str, Any], user: str | None = None) -> None:
    """Set fields of due headers directly, because the worker's clock cannot be changed."""
    changes = [{"op": "set", "path": f"/{name}", "value": value} for name, value in fields.items()]
    with CosmosClient(cosmos_address, LOCAL_KEY) as client:
        memory = client.get_database_client("agent-memory").get_container_client("memory")
        for found in memory.query_items(DUE, enable_cross_partition_query=True):
            if user in {None, found["user_id"]}:
                memory.patch_item(found["id"], found["user_id"], changes)


def is_summarised(worker: httpx.Client, user: str, session: str = "s") -> bool:
    """Whether the whole session is summarised."""
    found = worker.get(f"/api/sessions/{session}", headers={"x-user-id": user}).json()
    return bool(found["consolidated_seq"] == found["turn_count"] and found["summary"]["text"])


def test_idle_sessions_are_queued_and_summarised(
    worker: httpx.Client, cosmos_address: str, queues: Azurite
) -> None:
    """Idle sessions are found, enqueued and summarised, and the queue is empty again."""
    for n in range(20):
        record_turn(worker, f"idle-{n}")
    set_on_headers(cosmos_address, {"due_at": "2026-01-01T00:00:00.000000Z"})
    assert worker.post("/admin/functions/summarise_idle_sessions").status_code == 202
    wait_until(lambda: all(is_summarised(worker, f"idle-{n}") for n in range(20)), 30)
    wait_until(lambda: count_messages(queues, QUEUE) == 0)
    assert count_messages(queues, POISON) == 0


def test_every_tenth_turn_is_consolidated_at_once(worker: httpx.Client, queues: Azurite) -> None:
    """An active session is consolidated without the timer."""
    user = {"x-user-id": "queue-talker"}
    for n in range(10):
        worker.put(f"/api/sessions/s/turns/t{n}", json=TURN, headers=user).raise_for_status()
    wait_until(lambda: is_summarised(worker, "queue-talker"), 20)
    wait_until(lambda: count_messages(queues, QUEUE) == 0)


INVALID_JOBS = [
    '{"user_id": "ada"}',
    '{"user_id": "a b", "session_id": "s"}',
    '{"user_id": "a", "session_id": "s", "x": 1}',
]


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", *INVALID_JOBS])
def test_an_invalid_message_becomes_poison_f25(
    worker: httpx.Client, queues: Azurite, text: str
) -> None:
    """An invalid message is dead-lettered after five deliveries, while others are processed."""
    send(queues, text)
    record_turn(worker, "queue-neighbour")
    send(queues, json.dumps({"user_id": "queue-neighbour", "session_id": "s"}))
    wait_until(lambda: count_messages(queues, POISON) == 1, 20)
    wait_until(lambda: is_summarised(worker, "queue-neighbour"))
    wait_until(lambda: count_messages(queues, QUEUE) == 0)


def test_a_job_without_a_session_is_completed(worker: httpx.Client, queues: Azurite) -> None:
    """A job for a deleted or unknown session succeeds."""
    record_turn(worker, "queue-deleted")
    worker.delete("/api/sessions/s", headers={"x-user-id": "queue-deleted"}).raise_for_status()
    for session in ("s", "missing"):
        send(queues, json.dumps({"user_id": "queue-deleted", "session_id": session}))
    wait_until(lambda: count_messages(queues, QUEUE) == 0)
    assert count_messages(queues, POISON) == 0


@pytest.fixture
def second_worker(worker_settings: dict[str, str]) -> Iterator[httpx.Client]:
    """Another process of the app with the same stores and queue."""
    with (
        server("-m", "devtools.functions", "--port", "0", settings=worker_settings) as address,
        httpx.Client(base_url=address, timeout=20) as client,
    ):
        yield client


def test_two_workers_and_duplicate_jobs_make_one_summary_f21(
    worker: httpx.Client, second_worker: httpx.Client, queues: Azurite
) -> None:
    """Duplicate jobs at two processes during a session: every turn is summarised once."""
    user = {"x-user-id": "queue-twice"}
    for n in range(4):
        worker.put(f"/api/sessions/s/turns/t{n}", json=TURN, headers=user).raise_for_status()
        for _ in range(2):
            send(queues, json.dumps({"user_id": "queue-twice", "session_id": "s"}))
    assert second_worker.get("/api/health").status_code == 200
    wait_until(lambda: count_messages(queues, QUEUE) == 0, 20)
    assert worker.post("/api/sessions/s/consolidate", headers=user).status_code == 200
    found = worker.get("/api/sessions/s", headers=user).json()
    assert (found["summary"]["from_seq"], found["summary"]["to_seq"]) == (1, 4)
    assert found["summary"]["text"].count("Mina") == 4


def test_an_operator_lists_and_requeues_dead_letters(
    worker: httpx.Client, worker_settings: dict[str, str], queues: Azurite, cosmos_address: str
) -> None:
    """`python -m operate.dead_letters` lists sessions and poison, and `--requeue` retries both."""
    record_turn(worker, "queue-failed")
    set_on_headers(
        cosmos_address,
        {"dead_lettered": "model_unavailable", "attempts": 5, "due_at": None},
        user="queue-failed",
    )
    with queues.queue(POISON) as poison:
        poison.send_message(
            base64.b64encode(json.dumps({"user_id": "nobody", "session_id": "s"}).encode()).decode()
        )
    assert operate(worker_settings) == (
        "dead-lettered sessions: 1 (1 model_unavailable)\n"
        "poison messages: 1\n"
        "queue-failed\ts\tmodel_unavailable\n"
    )
    assert operate(worker_settings, "--requeue").startswith("2 requeued;")
    assert worker.post("/admin/functions/summarise_idle_sessions").status_code == 202
    wait_until(lambda: is_summarised(worker, "queue-failed"), 20)
    assert operate(worker_settings) == "dead-lettered sessions: 0\npoison messages: 0\n"


def operate(settings: dict[str, str], *arguments: str) -> str:
    """The output of the operator's command."""
    with program("-m", "operate.dead_letters", *arguments, settings=settings) as running:
        output, _ = running.process.communicate(timeout=30)
        assert running.process.returncode == 0, running.error_output()
    return output.decode()
