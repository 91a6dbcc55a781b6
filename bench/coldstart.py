"""What a new instance costs, beside a bare one: `python -m bench.coldstart`.

Keepsake and a bare app (the same functions with nothing in them, the same HTTP extension) take turns in fresh
processes of the real worker library, on the deployed set of packages with bytecode compiled. CPU is the process's own,
so ratios hold on a busy machine; seconds of waiting do not. Model and stores are processes of their own.
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
from pathlib import Path

from bench.environment import CannotBuildError, build_environment
from bench.stack import ROOT, Stack, in_environment, running_stack
from local.children import child

REQUIREMENTS = {"requirements.txt": (), "requirements-worker.txt": ("--python-version", "3.13")}
DEPLOYED = ("function_app.py", "host.json", "shared")
SETTLED = 500  # as in bench/worker_probe.py: growth is reckoned from there
BARE = """\
import azure.functions as func
from azurefunctions.extensions.http.fastapi import Request, Response

OPERATOR = func.AuthLevel.ANONYMOUS
SCHEDULE = "0 */5 * * * *"
app = func.FunctionApp(http_auth_level=OPERATOR)
"""
Sample = Mapping[str, float]


def main() -> int:
    """Measure and print the table; 1 if there is nothing to measure in."""
    arguments = _parse()
    try:
        python = (
            Path(sys.executable)
            if arguments.here
            else build_environment("bench-venv", arguments.python, REQUIREMENTS) / "python"
        )
    except CannotBuildError as failed:
        print(f"coldstart: {failed}", file=sys.stderr)
        return 1
    asyncio.run(_run(python, arguments))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repeats", type=int, default=9, help="fresh processes of each app (default: %(default)s)"
    )
    parser.add_argument(
        "--requests", type=int, default=2000, help="turns for the growth (default: %(default)s)"
    )
    parser.add_argument(
        "--python", default=sys.executable, help="the interpreter of the environment that is built"
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="measure in this environment, which has more than is deployed",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one process each and few turns: does it work?"
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
            probe = Probe(python, stack, folder)
            for app in () if arguments.quick else apps.values():
                await probe.run(app, 1)  # bytecode is written, files are in memory
            starts: dict[str, list[Sample]] = {name: [] for name in apps}
            for requests in (
                *[1] * (arguments.repeats - 1),
                arguments.requests,
            ):  # the last of them goes on
                for which, app in apps.items():
                    starts[which].append(await probe.run(app, requests))
            print_starts(starts, "this environment" if arguments.here else "the deployed set")
            often = {which: some[-1] for which, some in starts.items()}
            print_growth(often, arguments.requests)


def deploy(folder: Path) -> Path:
    """What is deployed, in a folder of its own, compiled: nobody's edits meanwhile are measured."""
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
    """The same functions with the same triggers, and nothing behind them."""
    folder.mkdir()
    functions = [
        one for one in ast.parse((ROOT / "function_app.py").read_text()).body if _is_function(one)
    ]
    for function in functions:
        assert isinstance(function, ast.AsyncFunctionDef)
        answers = function.returns and ast.unparse(function.returns) == "Response"
        function.body = ast.parse("return Response(b'{}')" if answers else "pass").body
    source = ast.unparse(ast.Module(functions, []))
    (folder / "function_app.py").write_text(f"{BARE}\n{source}\n")
    shutil.copy(ROOT / "host.json", folder)
    return folder


def _is_function(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.AsyncFunctionDef) and bool(statement.decorator_list)


class Probe:
    """Measures apps, each time in a fresh process."""

    def __init__(self, python: Path, stack: Stack, folder: Path) -> None:
        """Use an interpreter and the settings of a stack."""
        self._python = python
        self._stack = stack
        self._folder = folder

    async def run(self, app: Path, requests: int) -> Sample:
        """One fresh worker: it starts, answers the first request, and as many more."""
        result, log = self._folder / "result.json", self._folder / "worker.log"
        result.unlink(missing_ok=True)
        arguments = [str(app), str(requests), str(time.monotonic()), str(result)]
        command = in_environment(
            self._stack.settings, str(self._python), "-m", "bench.worker_probe", *arguments
        )
        async with child(*command, log=log, speaks=False) as process:
            await process.wait()
        assert result.exists(), log.read_text()[-2000:]
        sample: Sample = json.loads(result.read_text())
        return sample


def print_starts(starts: Mapping[str, Sequence[Sample]], where: str) -> None:
    """The table of the start, medians."""
    ours, bare = ({name: _median(some, name) for name in some[0]} for some in starts.values())
    print(
        f"fresh processes: {len(starts['bare'])} of each, Python {sys.version.split()[0]}, on {where}; medians"
    )
    print(f"{'':40} keepsake      bare  ratio  target")
    _row("import and index, CPU ms", ours["index_cpu"] * 1e3, bare["index_cpu"] * 1e3, "<= 1.25 x")
    _row("process start to indexed, ms", ours["indexed_at"] * 1e3, bare["indexed_at"] * 1e3)
    _row("process start to first answer, ms", ours["answered_at"] * 1e3, bare["answered_at"] * 1e3)
    _row("the same, CPU ms of all threads", ours["answered_cpu"] * 1e3, bare["answered_cpu"] * 1e3)
    _row(
        "longest silence of the loop, CPU ms",
        ours["silence"] * 1e3,
        bare["silence"] * 1e3,
        "<= 50 ms",
    )
    _row("resident after the first answer, MB", ours["rss_turn"], bare["rss_turn"], "<= 160 MB")


def print_growth(often: Mapping[str, Sample], requests: int) -> None:
    """The table of many requests in one process."""
    ours, bare = often["keepsake"], often["bare"]
    counted = requests - SETTLED
    _row(f"resident after {requests:,} requests, MB", ours["rss_end"], bare["rss_end"])
    if counted <= 0:
        print(f"growth is reckoned from request {SETTLED} on: too few requests to say")
        return
    growth, bare_growth = (
        (one["rss_end"] - one["rss_settled"]) * 1024 / counted for one in (ours, bare)
    )
    _row(f"growth per request from {SETTLED} on, KB", growth, bare_growth)
    _row(
        "CPU per request, ms", ours["asked_cpu"] * 1e3 / counted, bare["asked_cpu"] * 1e3 / counted
    )


def _median(samples: Sequence[Sample], name: str) -> float:
    return statistics.median(sample[name] for sample in samples)


def _row(what: str, ours: float, bare: float, target: str = "") -> None:
    ratio = f"{ours / bare:6.2f}" if bare > 0 else "     -"
    print(f"{what:40} {ours:8.1f}  {bare:8.1f} {ratio}  {target}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
