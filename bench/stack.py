"""The services that a worker needs, as processes: local Cosmos DB, Redis and a slow model."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cosmos_local import LOCAL_KEY
from local.children import child, first_line
from local.redis import server_arguments, server_binary, socket_folder, until_listening

ROOT = Path(__file__).resolve().parent.parent
NO_QUEUE = {  # nothing listens there, and a turn does not wait for it
    "QUEUE_ENDPOINT": "http://127.0.0.1:9/none",
    "QUEUE_KEY": "bm9uZQ==",
}
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stack:
    """The running services: the settings of a worker that uses them, and their process ids."""

    settings: Mapping[str, str]
    pids: Mapping[str, int]


@contextlib.asynccontextmanager
async def running_stack(model_seconds: float, folder: Path) -> AsyncIterator[Stack]:
    """Run empty stores and a model that takes this long; their logs go to the folder."""
    cosmos_command = (
        *(sys.executable, "-m", "cosmos_local", "--http", "--port", "0"),
        *("--declaration", str(ROOT / "infra" / "containers.json")),
    )
    model_command = (sys.executable, "-m", "bench.slow_model", str(model_seconds))
    with socket_folder() as socket:
        redis_command = server_arguments(server_binary(), socket, None)
        async with (
            child(*redis_command, log=folder / "redis.log", capture=False) as redis,
            program(folder / "cosmos.log", *cosmos_command) as cosmos,
            program(folder / "model.log", *model_command) as model,
        ):
            await until_listening(socket)
            settings = {
                "AUTH_MODE": "local",
                "COSMOS_ENDPOINT": cosmos.first_line.split()[0],
                "COSMOS_KEY": LOCAL_KEY,
                "REDIS_SOCKET": str(socket),
                **NO_QUEUE,
                "OPENAI_BASE_URL": model.first_line,
                "OPENAI_API_KEY": "none",
                "CHAT_MODEL": "scripted",
                "EMBEDDING_MODEL": "scripted",
            }
            yield Stack(settings, {"cosmos": cosmos.pid, "redis": redis.pid, "model": model.pid})


@dataclass(frozen=True, slots=True)
class Program:
    """A running program: its process id, and the first line it printed."""

    pid: int
    first_line: str


@contextlib.asynccontextmanager
async def program(
    log: Path, *command: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run a command with only these settings in its environment; discard its later output."""
    async with child(*in_environment(settings or {}, *command), log=log) as process:
        line = await first_line(process, log)
        reading = asyncio.create_task(_discard(process.stdout))
        try:
            yield Program(process.pid, line)
        finally:
            reading.cancel()


def in_environment(settings: Mapping[str, str], *command: str) -> list[str]:
    """Return the command line that runs a command with only these settings."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
    return ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command]


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


async def _discard(output: asyncio.StreamReader | None) -> None:
    """Read a pipe until it is closed: the writer would block on a full one."""
    while output and await output.read(65_536):
        pass
