"""Timer, queue and queue function together: the real worker library, its host's queue pump, and Azurite."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from azure.cosmos import CosmosClient

from cosmos_local import LOCAL_KEY
from tests.support.azurite import Azurite, can_run
from tests.support.model_server import ModelServer
from tests.worker.processes import program, server, wait_until

pytestmark = [
    pytest.mark.xdist_group("worker"),
    pytest.mark.skipif(
        not can_run(), reason="no Azurite (npm was not there): the queue function is NOT tested"
    ),
]
QUEUE, POISON = "consolidate-session", "consolidate-session-poison"
DUE = "SELECT c.id, c.user_id FROM c WHERE c.kind = 'session' AND IS_STRING(c.due_at)"
TURN = {"messages": [{"role": "user", "content": "My cat is called Mina."}]}


@pytest.fixture
def queues(azurite: Azurite) -> Azurite:
    """Both queues, empty."""
    azurite.reset()
    return azurite


def waiting(queues: Azurite, name: str) -> int:
    """About how many messages a queue holds."""
    with queues.queue(name) as queue:
        return queue.get_queue_properties().approximate_message_count or 0


def send(queues: Azurite, text: str) -> None:
    """Put a message on the queue, as whatever."""
    with queues.queue(QUEUE) as queue:
        queue.send_message(base64.b64encode(text.encode()).decode())


def say(worker: httpx.Client, user: str, session: str = "s") -> None:
    """Record a turn."""
    worker.put(
        f"/api/sessions/{session}/turns/t", json=TURN, headers={"x-user-id": user}
    ).raise_for_status()


def set_on_headers(cosmos_address: str, fields: Mapping[str, Any], user: str | None = None) -> None:
    """Set fields on the headers that are due, behind the application's back: the worker's clock cannot be moved."""
    changes = [{"op": "set", "path": f"/{name}", "value": value} for name, value in fields.items()]
    with CosmosClient(cosmos_address, LOCAL_KEY) as client:
        memory = client.get_database_client("agent-memory").get_container_client("memory")
        for found in memory.query_items(DUE, enable_cross_partition_query=True):
            if user in {None, found["user_id"]}:
                memory.patch_item(found["id"], found["user_id"], changes)


def is_summarised(worker: httpx.Client, user: str, session: str = "s") -> bool:
    """Whether the session has its summary."""
    found = worker.get(f"/api/sessions/{session}", headers={"x-user-id": user}).json()
    return bool(found["consolidated_seq"] == found["turn_count"] and found["summary"]["text"])


def test_the_timer_fills_the_queue_and_the_queue_is_worked_off(
    worker: httpx.Client, cosmos_address: str, queues: Azurite
) -> None:
    """Sessions that rest are found, queued, summarised by the queue function, and the queue is empty again."""
    for n in range(20):
        say(worker, f"resting-{n}")
    set_on_headers(cosmos_address, {"due_at": "2026-01-01T00:00:00.000000Z"})
    assert worker.post("/admin/functions/summarise_idle_sessions").status_code == 202
    wait_until(lambda: all(is_summarised(worker, f"resting-{n}") for n in range(20)), 30)
    wait_until(lambda: waiting(queues, QUEUE) == 0)
    assert waiting(queues, POISON) == 0


def test_every_tenth_turn_is_consolidated_at_once(worker: httpx.Client, queues: Azurite) -> None:
    """No timer is needed while a session goes on."""
    user = {"x-user-id": "queue-talker"}
    for n in range(10):
        worker.put(f"/api/sessions/s/turns/t{n}", json=TURN, headers=user).raise_for_status()
    wait_until(lambda: is_summarised(worker, "queue-talker"), 20)
    wait_until(lambda: waiting(queues, QUEUE) == 0)


OTHER = [
    '{"user_id": "ada"}',
    '{"user_id": "a b", "session_id": "s"}',
    '{"user_id": "a", "session_id": "s", "x": 1}',
]


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00", *OTHER])
def test_what_is_no_job_becomes_poison_f25(
    worker: httpx.Client, queues: Azurite, text: str
) -> None:
    """A message that nobody wrote is tried five times and put aside; others go on meanwhile."""
    send(queues, text)
    say(worker, "queue-beside")
    send(queues, json.dumps({"user_id": "queue-beside", "session_id": "s"}))
    wait_until(lambda: waiting(queues, POISON) == 1, 20)
    wait_until(lambda: is_summarised(worker, "queue-beside"))
    wait_until(lambda: waiting(queues, QUEUE) == 0)


def test_a_message_for_nothing_is_done_with(worker: httpx.Client, queues: Azurite) -> None:
    """A session that was deleted, or never was, is no failure."""
    say(worker, "queue-leaver")
    worker.delete("/api/sessions/s", headers={"x-user-id": "queue-leaver"}).raise_for_status()
    for session in ("s", "never"):
        send(queues, json.dumps({"user_id": "queue-leaver", "session_id": session}))
    wait_until(lambda: waiting(queues, QUEUE) == 0)
    assert waiting(queues, POISON) == 0


@pytest.fixture
def second_worker(worker_settings: dict[str, str]) -> Iterator[httpx.Client]:
    """Another process of the app, on the same stores and the same queue."""
    with (
        server("-m", "local.functions", "--port", "0", settings=worker_settings) as address,
        httpx.Client(base_url=address, timeout=20) as client,
    ):
        yield client


def test_two_runners_and_two_messages_make_one_summary_f21(
    worker: httpx.Client, second_worker: httpx.Client, queues: Azurite, model: ModelServer
) -> None:
    """The same job twice over, at two processes, while more is said: every turn is summarised once."""
    user = {"x-user-id": "queue-twice"}
    for n in range(4):
        worker.put(f"/api/sessions/s/turns/t{n}", json=TURN, headers=user).raise_for_status()
        for _ in range(2):
            send(queues, json.dumps({"user_id": "queue-twice", "session_id": "s"}))
    assert second_worker.get("/api/health").status_code == 200
    wait_until(lambda: waiting(queues, QUEUE) == 0, 20)
    assert worker.post("/api/sessions/s/consolidate", headers=user).status_code == 200
    found = worker.get("/api/sessions/s", headers=user).json()
    assert (found["summary"]["from_seq"], found["summary"]["to_seq"]) == (1, 4)
    assert found["summary"]["text"].count("Mina") == 4
    assert len(model.requests) >= 1


def test_an_operator_lists_and_revives_what_was_given_up(
    worker: httpx.Client, worker_settings: dict[str, str], queues: Azurite, cosmos_address: str
) -> None:
    """`python -m operate.parked` shows parked sessions and poison, and `--revive` has both tried anew."""
    say(worker, "parked")
    set_on_headers(
        cosmos_address,
        {"parked": "model_unavailable", "attempts": 5, "due_at": None},
        user="parked",
    )
    with queues.queue(POISON) as poison:
        poison.send_message(
            base64.b64encode(json.dumps({"user_id": "nobody", "session_id": "s"}).encode()).decode()
        )
    assert operate(worker_settings) == (
        "1 sessions are parked: 1 model_unavailable\n1 messages are poison\nparked\ts\tmodel_unavailable\n"
    )
    assert operate(worker_settings, "--revive").startswith("2 revived;")
    assert worker.post("/admin/functions/summarise_idle_sessions").status_code == 202
    wait_until(lambda: is_summarised(worker, "parked"), 20)
    assert operate(worker_settings) == "0 sessions are parked\n0 messages are poison\n"


def operate(settings: dict[str, str], *arguments: str) -> str:
    """What the operator's command prints."""
    with program("-m", "operate.parked", *arguments, settings=settings) as running:
        output, _ = running.process.communicate(timeout=30)
        assert running.process.returncode == 0, running.said()
    return output.decode()
