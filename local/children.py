"""Child processes that end with their parent, whatever ends it."""

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
RESTART_SECONDS = 1.0  # after the death of a child that the rest can do without for a while
_PR_SET_PDEATHSIG = 1


class ChildError(RuntimeError):
    """A child process did not start; the message says where its output is."""


@contextlib.asynccontextmanager
async def child(
    *args: str, log: Path, speaks: bool = True, patience: float = STOP_SECONDS
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a session of its own until the block ends; what it says goes to the log file.

    If it speaks to us, its standard output is ours to read and must be read.

    Only the parent gets the terminal's signals, so requests can drain before a child they need is stopped.
    """
    with log.open("ab") as output:
        process = await _start(args, output, asyncio.subprocess.PIPE if speaks else output)
    try:
        yield process
    finally:
        await asyncio.shield(_stop(process, patience))


async def first_line(process: asyncio.subprocess.Process, log: Path) -> str:
    """The first line a child prints: its address, and the sign that it is ready.

    Raises:
        ChildError: it ended or stayed silent.
    """
    if process.stdout is None:
        raise ChildError("The child has no output to read")
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise ChildError(f"A child process did not start; its output is in {log}")
    return line.decode().strip()


async def _start(
    args: tuple[str, ...], output: IO[bytes], speech: int | IO[bytes]
) -> asyncio.subprocess.Process:
    parent = os.getpid()

    def die_with_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)  # the parent went between fork and prctl

    return await asyncio.create_subprocess_exec(
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=speech,
        stderr=output,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


async def _stop(process: asyncio.subprocess.Process, patience: float) -> None:
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signal a child without looking at it first.

    The process object's own methods poll: a child that has just died is then reaped before asyncio's watcher gets to
    it, which complains and loses its exit code.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)
