"""Run the test files of the azure-cosmos source distribution against this package.

    pip download --no-deps --no-binary :all: azure-cosmos==4.17.1 && tar xf azure_cosmos-4.17.1.tar.gz
    python packages/cosmos-local/tools/sdk_tests.py azure_cosmos-4.17.1 --python PYTHON

PYTHON has azure-cosmos of the same version, aiohttp, azure-identity, pytest, pytest-asyncio,
pytest-timeout and pytest-xdist. Port 8081 must be free: the tests take an emulator there for one.
The run is written to docs/sdk-tests.md, with a reason for each test that fails.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

PACKAGE = Path(__file__).resolve().parents[1]
REPORT = PACKAGE / "docs" / "sdk-tests.md"
SECONDS = 120  # for one test; the slowest create thousands of items one by one
# The first pattern that is found in a failure's name or message says why it fails.
REASONS: list[tuple[str, str, str]] = [
    ("refused", r"If-None-Match is only supported on reads", "a condition the service ignores"),
    ("refused", r"properties: ifNoneMatch", "a condition the service ignores"),
    ("refused", r"all versions and deletes is not supported", "the full change feed"),
    ("refused", r"There are no (sprocs|triggers|udfs|users) here", "scripts and users"),
    ("refused", r"spatialIndexes are not supported", "spatial indexes"),
    ("account", r"swr_mrr|_mwr_|mwr_succeeds|disallowing writes in this region", "two regions"),
    ("account", r"test_global_db|test_health_check", "two regions"),
]


@dataclass(frozen=True)
class Result:
    """One test: passed, skipped or failed, and why."""

    name: str
    outcome: str
    message: str

    @property
    def reason(self) -> tuple[str, str]:
        """Return the kind of reason for a failure, and what it is; ours when none is known."""
        for kind, pattern, text in REASONS:
            if re.search(pattern, f"{self.name} {self.message}"):
                return kind, text
        return "ours", " ".join(self.message.split())[:120]


def main() -> None:
    """Run the tests, write the report, and fail if a failure is ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sdist", type=Path, help="the unpacked source distribution")
    parser.add_argument("--python", default=sys.executable, help="with what the tests need")
    parser.add_argument("--results", type=Path, help="report on this JUnit file; run nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        junit = options.results or Path(folder) / "results.xml"
        if options.results is None:
            run(options.sdist.resolve() / "tests", options.python, junit)
        results = read(junit)
    REPORT.write_text(report(options.sdist.name, results))
    ours = [
        result for result in results if result.outcome == "failed" and result.reason[0] == "ours"
    ]
    print(f"{REPORT}: {summary(results)}; ours: {len(ours)}")
    sys.exit(1 if ours else 0)


def run(tests: Path, python: str, junit: Path) -> None:
    """Serve over https on the emulator's port, and run the tests for an emulator."""
    options = ["--port", "8081", "--ranges", "service", "--consistency", "Session"]
    command = [sys.executable, "-m", "cosmos_local", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101 - it was asked for
        server.stdout.readline()
        environment = os.environ | {"PYTHONPATH": str(PACKAGE / "tools" / "stubs")}
        plugins = ["-p", "no:cacheprovider", "--timeout", str(SECONDS), "-n", "2"]
        marked = ["-q", "-m", "cosmosEmulator", f"--junitxml={junit}"]
        subprocess.run(
            [python, "-m", "pytest", *plugins, *marked], cwd=tests, env=environment, check=False
        )
        server.terminate()


def read(junit: Path) -> list[Result]:
    """Read the results of a run."""
    results = []
    for case in ET.parse(junit).getroot().iter("testcase"):  # noqa: S314 - our own file
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        failure = case.find("failure") if case.find("failure") is not None else case.find("error")
        if failure is not None:
            results.append(Result(name, "failed", failure.get("message") or ""))
        else:
            skipped = case.find("skipped") is not None
            results.append(Result(name, "skipped" if skipped else "passed", ""))
    return results


def summary(results: list[Result]) -> str:
    """Return how many tests had which outcome."""
    counts = Counter(result.outcome for result in results)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped"))


def report(version: str, results: list[Result]) -> str:
    """Write the document."""
    titles = {
        "refused": "Refused here, on purpose",
        "account": "Needs an account",
        "ours": "Ours, to be fixed",
    }
    lines = [
        "# The SDK's own tests", "",
        f"Generated by `tools/sdk_tests.py` from a run of the tests of {version} that are marked "
        f"for an emulator: **{summary(results)}**.", "",
    ]  # fmt: skip
    failed = [result for result in results if result.outcome == "failed"]
    for kind, title in titles.items():
        of_kind = sorted(
            (result.reason[1], result.name) for result in failed if result.reason[0] == kind
        )
        if of_kind:
            lines += [f"## {title} ({len(of_kind)})", "", "| test | reason |", "| --- | --- |"]
            lines += [f"| `{name}` | {reason.replace('|', '/')} |" for reason, name in of_kind]
            lines += [""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
