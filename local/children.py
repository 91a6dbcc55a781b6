"""Child processes that end with their parent, however it ends."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

STOP_SECONDS = 5.0
START_SECONDS = 20.0
RESTART_SECONDS = 1.0  # between the death of a child that may be unavailable and its restart
_PR_SET_PDEATHSIG = 1


class ChildError(RuntimeError):
    """A child process did not start; the message says why or where its output is."""


@contextlib.asynccontextmanager
async def child(
    *args: str, log: Path, capture: bool = True, stop_seconds: float = STOP_SECONDS
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command until the block ends, in its own session; append its output to the log file.

    With `capture`, standard output is a pipe instead, which the caller must read.

    Only the parent receives the terminal's signals, so it can finish open requests before it stops
    the children that they need. A child that ignores SIGTERM for `stop_seconds` is killed.
    """
    with log.open("ab") as output:
        process = await _start(args, output, asyncio.subprocess.PIPE if capture else output)
    try:
        yield process
    finally:
        await asyncio.shield(_stop(process, stop_seconds))


async def first_line(process: asyncio.subprocess.Process, log: Path) -> str:
    """Return the first line that a child prints: its address, once it is ready.

    Raises:
        ChildError: it ended, or printed nothing in time.
    """
    if process.stdout is None:
        raise ChildError("The output of this child process is not captured")
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise ChildError(f"A child process did not start; its output is in {log}")
    return line.decode().strip()


async def _start(
    args: tuple[str, ...], errors: IO[bytes], output: int | IO[bytes]
) -> asyncio.subprocess.Process:
    parent = os.getpid()

    def die_with_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)  # the parent died between fork and prctl

    return await asyncio.create_subprocess_exec(
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


async def _stop(process: asyncio.subprocess.Process, seconds: float) -> None:
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal without polling the process first, as the process object's methods would.

    Polling reaps a child that has just died before asyncio's watcher does, which then logs a
    warning and loses the exit code.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
