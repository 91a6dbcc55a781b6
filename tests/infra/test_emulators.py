"""Docker users get what `func start` needs."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it brings no types

from infra.emulator.__main__ import make_containers, make_queues
from tests.infra.conftest import Started
from tests.support.azurite import Azurite, can_run

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
PORTS = {
    port.rsplit(":", 1)[0] for service in COMPOSE["services"].values() for port in service["ports"]
}


class ScriptedEmulator(BaseHTTPRequestHandler):
    """Has nothing at first, makes what it is asked for and remembers it."""

    made: dict[str, Any]

    def do_GET(self) -> None:
        """The account, or what was made."""
        self._answer(200 if self.path == "/" or self.path.rstrip("/") in self.made else 404, {})

    def do_POST(self) -> None:
        """Make something."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.made[f"{self.path.rstrip('/')}/{body['id']}"] = body
        self._answer(201, body)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def emulator() -> Iterator[tuple[str, dict[str, Any]]]:
    """Its address and what it made."""
    made: dict[str, Any] = {}
    served = type("Served", (ScriptedEmulator,), {"made": made})
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", made
        server.shutdown()
        thread.join(5)


def test_the_emulator_gets_the_containers_that_are_declared(
    emulator: tuple[str, dict[str, Any]],
) -> None:
    """Keys and times to live are those of infra/containers.json; doing it twice changes nothing."""
    endpoint, made = emulator
    names = [list(make_containers(endpoint, wait=5)) for _ in range(2)]
    assert names[0] == names[1]
    declared = json.loads((ROOT / "infra" / "containers.json").read_text())
    containers = {path: body for path, body in made.items() if "/colls/" in path}
    assert set(made) - set(containers) == {f"/dbs/{declared['database']}"}
    assert [
        (body["id"], body["partitionKey"]["paths"], body["defaultTtl"])
        for body in containers.values()
    ] == [
        (container["id"], container["partitionKey"]["paths"], container["defaultTtl"])
        for container in declared["containers"]
    ]


@pytest.mark.skipif(
    not can_run(), reason="no Azurite (npm was not there): its queues are NOT tested"
)
def test_azurite_gets_the_queues_that_are_declared() -> None:
    """The queues of infra/queues.json and their poison queues exist; creating them again works."""
    with Azurite() as azurite:
        azurite.queue("consolidate-session").delete_queue()
        made = [list(make_queues(azurite.endpoint)) for _ in range(2)]
        assert made[0] == made[1] == ["consolidate-session", "consolidate-session-poison"]
        assert (
            azurite.queue("consolidate-session").get_queue_properties().approximate_message_count
            == 0
        )


def test_the_example_leads_to_what_compose_starts(started_with: Started) -> None:
    """compose.yaml is valid and publishes the addresses of local.settings.example.json."""
    settings = started_with(EXAMPLE)
    address = re.sub(r"^https?://", "", settings.cosmos_endpoint).rstrip("/")
    assert address in PORTS
    assert settings.redis_host is None or f"{settings.redis_host}:{settings.redis_port}" in PORTS
    assert str(settings.queue_endpoint).removeprefix("http://").split("/")[0] in PORTS
    assert EXAMPLE["AzureWebJobsStorage"] == "UseDevelopmentStorage=true"
    assert {
        f"127.0.0.1:{port}" for port in (10000, 10001, 10002)
    } <= PORTS  # Azurite's, which that stands for


def test_nothing_listens_beyond_this_machine() -> None:
    """Emulators have known keys, or none."""
    assert [port for port in PORTS if not port.startswith("127.0.0.1:")] == []


def test_queues_outlive_a_restart() -> None:
    """Azurite writes to the volume it is given."""
    storage = COMPOSE["services"]["storage"]
    assert re.findall(r"--location (\S+)", storage["command"]) == [
        volume.partition(":")[2] for volume in storage["volumes"]
    ]


def test_redis_evicts_as_in_azure() -> None:
    """A session is whole or gone, on a laptop too."""
    assert "volatile-lru" in COMPOSE["services"]["redis"]["command"]
