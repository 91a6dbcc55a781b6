"""What a worker stands on, each in a process of its own: local Cosmos DB, Redis, a model of fixed slowness."""

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
NO_QUEUE = {
    "QUEUE_ENDPOINT": "http://127.0.0.1:9/none",
    "QUEUE_KEY": "bm9uZQ==",
}  # a turn does not wait for it
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stack:
    """The settings of a worker that stands on it, and the process of each part."""

    settings: Mapping[str, str]
    parts: Mapping[str, int]


@contextlib.asynccontextmanager
async def running_stack(model_seconds: float, folder: Path) -> AsyncIterator[Stack]:
    """Empty stores and a model that takes so long, until the block ends; what they say goes to files in the folder."""
    with socket_folder() as socket:
        redis = server_arguments(server_binary(), socket, None)
        async with (
            child(*redis, log=folder / "redis.log", speaks=False) as cache,
            program(
                folder / "cosmos.log",
                *(sys.executable, "-m", "cosmos_local", "--http", "--port", "0"),
                *("--declaration", str(ROOT / "infra" / "containers.json")),
            ) as cosmos,
            program(
                folder / "model.log", sys.executable, "-m", "bench.slow_model", str(model_seconds)
            ) as model,
        ):
            await until_listening(socket)
            settings = {
                "AUTH_MODE": "local",
                "COSMOS_ENDPOINT": cosmos.says.split()[0],
                "COSMOS_KEY": LOCAL_KEY,
                "REDIS_SOCKET": str(socket),
                **NO_QUEUE,
                "OPENAI_BASE_URL": model.says,
                "OPENAI_API_KEY": "none",
                "CHAT_MODEL": "scripted",
                "EMBEDDING_MODEL": "scripted",
            }
            yield Stack(settings, {"cosmos": cosmos.pid, "redis": cache.pid, "model": model.pid})


@dataclass(frozen=True, slots=True)
class Program:
    """A running program: its process, and the first line it printed."""

    pid: int
    says: str


@contextlib.asynccontextmanager
async def program(
    log: Path, *command: str, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """Run a command with these settings and nothing else of the environment; what it prints later is read away."""
    async with child(*in_environment(settings or {}, *command), log=log) as process:
        says = await first_line(process, log)
        reading = asyncio.create_task(_read_away(process.stdout))
        try:
            yield Program(process.pid, says)
        finally:
            reading.cancel()


def in_environment(settings: Mapping[str, str], *command: str) -> list[str]:
    """The command that runs a command with these settings only."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
    return ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *command]


def cpu_seconds(pid: int) -> float:
    """CPU seconds a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


async def _read_away(output: asyncio.StreamReader | None) -> None:
    """A full pipe would stop who writes into it."""
    while output and await output.read(65_536):
        pass
