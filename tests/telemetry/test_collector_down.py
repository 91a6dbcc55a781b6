"""The real worker with a telemetry receiver that is away (F43)."""

import httpx
import pytest

from devtools.functions import FUNCTION_KEY
from tests.support.processes import program

pytestmark = pytest.mark.xdist_group("worker")

AWAY = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
USER = {"x-functions-key": FUNCTION_KEY, "x-user-id": "watched"}


def test_a_receiver_that_is_away_changes_no_answer_and_no_end_f43(
    worker_settings: dict[str, str],
) -> None:
    """Turns are answered, the worker says nothing of their content, and it ends when it is told to."""
    with program(
        "-W", "error", "-m", "devtools.functions", "--port", "0", settings=worker_settings | AWAY
    ) as running:
        with httpx.Client(base_url=running.first_line(), headers=USER, timeout=20) as client:
            answers = [
                client.post("/api/chat", json={"message": "canary", "session_id": "s"})
                for _ in range(5)
            ]
        running.process.terminate()
        running.wait()
        said = running.said()
    assert [(answer.status_code, answer.json()["seq"]) for answer in answers] == [
        (200, n) for n in range(1, 6)
    ]
    assert "canary" not in said


def test_without_a_receiver_no_exporter_is_imported(worker_settings: dict[str, str]) -> None:
    """What sends telemetry is imported where telemetry is sent (redis-py takes the SDK's metrics wherever they are)."""
    script = "import sys, shared.bootstrap.composition as c; c.Composition(c.Settings()).prefetch(); print(*sys.modules)"
    with program("-W", "error", "-c", script, settings=worker_settings) as running:
        modules = set(running.first_line().split())
    assert "opentelemetry.trace" in modules
    assert not modules & {
        "opentelemetry.sdk.trace",
        "opentelemetry.exporter",
        "azure.monitor",
        "google.protobuf",
    }
