"""The real worker with an unavailable OTLP collector (F43)."""

import httpx
import pytest

from devtools.front import FUNCTION_KEY
from tests.support.processes import program

pytestmark = pytest.mark.xdist_group("worker")

NO_COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
USER = {"x-functions-key": FUNCTION_KEY, "x-user-id": "watched"}


def test_an_unavailable_collector_affects_neither_turns_nor_shutdown_f43(
    worker_settings: dict[str, str],
) -> None:
    """Turns are answered, the worker prints no content, and it ends when it is asked to."""
    with program(
        "-W",
        "error",
        "-m",
        "devtools.functions",
        "--port",
        "0",
        settings=worker_settings | NO_COLLECTOR,
    ) as running:
        with httpx.Client(base_url=running.first_line(), headers=USER, timeout=20) as client:
            answers = [
                client.post("/api/chat", json={"message": "canary", "session_id": "s"})
                for _ in range(5)
            ]
        running.process.terminate()
        running.wait()
        errors = running.error_output()
    assert [(answer.status_code, answer.json()["seq"]) for answer in answers] == [
        (200, n) for n in range(1, 6)
    ]
    assert "canary" not in errors


def test_without_a_collector_no_exporter_is_imported(worker_settings: dict[str, str]) -> None:
    """Exporters are imported only with a collector; redis-py imports the SDK's metrics anyway."""
    script = (
        "import sys, shared.bootstrap.composition as c; "
        "c.Composition(c.Settings()).prefetch(); print(*sys.modules)"
    )
    with program("-W", "error", "-c", script, settings=worker_settings) as running:
        modules = set(running.first_line().split())
    assert "opentelemetry.trace" in modules
    assert not modules & {
        "opentelemetry.sdk.trace",
        "opentelemetry.exporter",
        "azure.monitor",
        "google.protobuf",
    }
