"""Programs of this repository as child processes that end with the test."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 30.0  # enough on a busy machine
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """A running program, and the file with its error output."""

    process: subprocess.Popen[bytes]
    errors: IO[bytes]

    def first_line(self) -> str:
        """The first line that it prints; fails with its error output if there is none."""
        output = self.process.stdout
        assert output is not None
        readable, _, _ = select.select([output], [], [], START_SECONDS)
        line = output.readline() if readable else b""
        assert line, f"it printed nothing; its errors: {self.error_output()}"
        return line.decode().strip()

    def error_output(self) -> str:
        """The error output so far."""
        return Path(self.errors.name).read_text()

    def wait(self) -> int:
        """The exit code, once it has ended."""
        return self.process.wait(STOP_SECONDS)


@contextmanager
def program(
    *args: str, folder: Path = ROOT, settings: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run `python <args>` with only these settings as its environment; killed at the end."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(settings or {})}
    command = [sys.executable, *args]
    with (
        tempfile.NamedTemporaryFile() as errors,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Program(process, errors.file)
        finally:
            process.kill()


@contextmanager
def server(
    *args: str, folder: Path = ROOT, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Run a program that serves until it is terminated; yields the first line that it prints."""
    with program(*args, folder=folder, settings=settings) as running:
        yield running.first_line()
        running.process.terminate()
        running.wait()


def wait_until(condition: Callable[[], bool], seconds: float = STOP_SECONDS) -> None:
    """Wait for a condition to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
