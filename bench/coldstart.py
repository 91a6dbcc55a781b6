"""The cost of a new instance, compared with that of a bare app: `python -m bench.coldstart`.

Keepsake alternates with a bare app, which has the same functions with empty bodies and the same
HTTP extension. Each run is a fresh process of the real worker library, on the deployed packages
with compiled bytecode. CPU is that of the process, so ratios hold on a busy machine; elapsed times
do not. The model and the stores have processes of their own.
"""

import argparse
import ast
import asyncio
import compileall
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.environment import CannotBuildError, build_deployed
from bench.stack import ROOT, Stack, in_environment, running_stack
from local.children import child

REQUIREMENTS = {"requirements.txt": (), "requirements-worker.txt": ("--python-version", "3.13")}
DEPLOYED = ("function_app.py", "host.json", "shared")
SETTLED = 500  # as in bench/worker_probe.py: growth is measured from there
BARE = """\
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

OPERATOR = func.AuthLevel.ANONYMOUS
SCHEDULE = "0 */5 * * * *"
app = func.FunctionApp(http_auth_level=OPERATOR)
"""
Sample = Mapping[str, float]


def main() -> int:
    """Measure and print the tables; return 1 if the environment cannot be built."""
    arguments = _parse()
    try:
        python = (
            Path(sys.executable)
            if arguments.here
            else build_deployed("bench-venv", arguments.python, REQUIREMENTS) / "python"
        )
    except CannotBuildError as failed:
        print(f"coldstart: {failed}", file=sys.stderr)
        return 1
    asyncio.run(_run(python, arguments))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    options: Mapping[str, tuple[type, object, str]] = {
        "--repeats": (int, 9, "processes per app (default: %(default)s)"),
        "--requests": (int, 2000, "turns of the last process (default: %(default)s)"),
        "--python": (str, sys.executable, "interpreter of the environment (default: this one)"),
    }
    for name, (kind, default, text) in options.items():
        parser.add_argument(name, type=kind, default=default, help=text)
    parser.add_argument(
        "--here",
        action="store_true",
        help="measure in this environment, which has more packages than are deployed",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one process per app and few turns, to see that it works",
    )
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats, arguments.requests = 1, SETTLED // 25
    return arguments


async def _run(python: Path, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apps = {"keepsake": deploy(folder / "keepsake"), "bare": make_bare(folder / "bare")}
        async with running_stack(0.0, folder) as stack:
            samples = await _measure(Probe(python, stack, folder), apps, arguments)
    print_starts(samples, "this environment" if arguments.here else "the deployed set")
    print_growth({app: rows[-1] for app, rows in samples.items()}, arguments.requests)


async def _measure(
    probe: "Probe", apps: Mapping[str, Path], arguments: argparse.Namespace
) -> dict[str, list[Sample]]:
    """Start the apps alternately, first once unmeasured; the last process gets all the requests."""
    for app in () if arguments.quick else apps.values():
        await probe.run(app, 1)  # writes bytecode and warms the file cache
    samples: dict[str, list[Sample]] = {name: [] for name in apps}
    for requests in (*[1] * (arguments.repeats - 1), arguments.requests):
        for name, app in apps.items():
            samples[name].append(await probe.run(app, requests))
    return samples


def deploy(folder: Path) -> Path:
    """Copy what is deployed and compile it, so that edits made meanwhile have no effect."""
    folder.mkdir()
    for name in DEPLOYED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, folder)
    compileall.compile_dir(folder, quiet=2)
    return folder


def make_bare(folder: Path) -> Path:
    """Write an app with the same functions and triggers and empty bodies."""
    folder.mkdir()
    source = ast.parse((ROOT / "function_app.py").read_text())
    functions = [statement for statement in source.body if _is_function(statement)]
    for function in functions:
        assert isinstance(function, ast.AsyncFunctionDef)
        is_http = function.returns and ast.unparse(function.returns) == "Response"
        function.body = ast.parse("return Response(b'{}')" if is_http else "pass").body
    emptied = ast.unparse(ast.Module(functions, []))
    (folder / "function_app.py").write_text(f"{BARE}\n{emptied}\n")
    shutil.copy(ROOT / "host.json", folder)
    return folder


def _is_function(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.AsyncFunctionDef) and bool(statement.decorator_list)


@dataclass(frozen=True, slots=True)
class Probe:
    """Measures apps with an interpreter and a stack, each time in a fresh process."""

    python: Path
    stack: Stack
    folder: Path

    async def run(self, app: Path, requests: int) -> Sample:
        """Measure one worker: its start, its first request, and the requests after it."""
        result, log = self.folder / "result.json", self.folder / "worker.log"
        result.unlink(missing_ok=True)
        arguments = [str(app), str(requests), str(time.monotonic()), str(result)]
        command = in_environment(
            self.stack.settings, str(self.python), "-m", "bench.worker_probe", *arguments
        )
        async with child(*command, log=log, capture=False) as process:
            await process.wait()
        assert result.exists(), log.read_text()[-2000:]
        sample: Sample = json.loads(result.read_text())
        return sample


def print_starts(starts: Mapping[str, Sequence[Sample]], where: str) -> None:
    """Print the table of the start: medians."""
    ours, bare = ({name: _median(some, name) for name in some[0]} for some in starts.values())
    count, version = len(starts["bare"]), sys.version.split()[0]
    print(f"medians of {count} fresh processes per app, Python {version}, on {where}")
    print(f"{'':40} keepsake      bare  ratio  target")
    _row("import and index, CPU ms", ours["index_cpu"] * 1e3, bare["index_cpu"] * 1e3, "<= 1.25 x")
    _row("process start to indexed, ms", ours["indexed_at"] * 1e3, bare["indexed_at"] * 1e3)
    _row("process start to first answer, ms", ours["answered_at"] * 1e3, bare["answered_at"] * 1e3)
    _row("the same, CPU ms of all threads", ours["answered_cpu"] * 1e3, bare["answered_cpu"] * 1e3)
    _row(
        "longest blocked time of the loop, CPU ms",
        ours["blocked"] * 1e3,
        bare["blocked"] * 1e3,
        "<= 50 ms",
    )
    _row("resident after the first answer, MB", ours["rss_turn"], bare["rss_turn"], "<= 160 MB")


def print_growth(samples: Mapping[str, Sample], requests: int) -> None:
    """Print the table of many requests in one process."""
    ours, bare = samples["keepsake"], samples["bare"]
    counted = requests - SETTLED
    _row(f"resident after {requests:,} requests, MB", ours["rss_end"], bare["rss_end"])
    if counted <= 0:
        print(f"growth is measured from request {SETTLED} on: there were too few requests")
        return
    growth, bare_growth = (
        (one["rss_end"] - one["rss_settled"]) * 1024 / counted for one in (ours, bare)
    )
    _row(f"growth per request from {SETTLED} on, KB", growth, bare_growth)
    cpu, bare_cpu = (one["requests_cpu"] * 1e3 / counted for one in (ours, bare))
    _row("CPU per request, ms", cpu, bare_cpu)


def _median(samples: Sequence[Sample], name: str) -> float:
    return statistics.median(sample[name] for sample in samples)


def _row(what: str, ours: float, bare: float, target: str = "") -> None:
    ratio = f"{ours / bare:6.2f}" if bare > 0 else "     -"
    print(f"{what:40} {ours:8.1f}  {bare:8.1f} {ratio}  {target}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
