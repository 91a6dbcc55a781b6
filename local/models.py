"""The models of a laptop as children of the supervisor: one that answers, one that embeds."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterable
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from local import embedder, model, small_model
from local.children import RESTART_SECONDS, ChildError, child, first_line
from local.tasks import beside

EMBEDDER = (sys.executable, "-m", "local.embedder")


@contextlib.asynccontextmanager
async def running_models(data: Path) -> AsyncIterator["asyncio.Task[int] | None"]:
    """Both models, each the environment's or one of our own; yields the end of the one that answers, if it is ours.

    Raises:
        ChildError: there is none that answers.
    """
    async with (
        _embedder(data / "embedder.log") as embedding,
        _chat_model(data / "model.log") as ended,
    ):
        await embedding
        yield ended


@contextlib.asynccontextmanager
async def _chat_model(log: Path) -> AsyncIterator["asyncio.Task[int] | None"]:
    """The model of the environment, or else one of our own as a child; the task ends when the child does."""
    if _has_own_model():
        yield None
        return
    async with contextlib.AsyncExitStack() as running:
        process = await _start_chat_model(running, log)
        yield await running.enter_async_context(beside(process.wait()))


async def _start_chat_model(
    running: contextlib.AsyncExitStack, log: Path
) -> asyncio.subprocess.Process:
    """The small real model; where it is not wanted or cannot run, the scripted one."""
    if not _is_scripted():
        try:
            _check_installed(small_model.PACKAGES)
            process = await running.enter_async_context(
                _served("local.small_model", small_model.MODEL_NAME, log)
            )
        except ChildError as failed:
            print(f"keepsake: no small model, the scripted one answers. {failed}", file=sys.stderr)
        else:
            os.environ |= {**small_model.LIMITS, **os.environ}
            return process
    elif not os.environ.get("EMBEDDING_BASE_URL"):
        os.environ.setdefault(
            "EMBEDDING_MODEL", model.MODEL_NAME
        )  # it has vectors of its own, at the same address
    return await running.enter_async_context(_served("local.model", model.MODEL_NAME, log))


@contextlib.asynccontextmanager
async def _served(module: str, name: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    async with child(sys.executable, "-m", module, log=log) as process:
        address = await first_line(process, log)
        os.environ |= {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "none", "CHAT_MODEL": name}
        os.environ.setdefault(
            "SUMMARISER", "extractive"
        )  # neither of our models is to be trusted with notes
        yield process


@contextlib.asynccontextmanager
async def _embedder(log: Path) -> AsyncIterator["asyncio.Task[None]"]:
    """An embedder of our own, if the environment has none; the task ends when it is known whether there is one."""
    async with (
        contextlib.AsyncExitStack() as running,
        beside(_start_embedder(running, log)) as started,
    ):
        yield started


async def _start_embedder(running: contextlib.AsyncExitStack, log: Path) -> None:
    if os.environ.get("EMBEDDING_MODEL") or os.environ.get("EMBEDDING_BASE_URL") or _is_scripted():
        return
    try:
        _check_installed(embedder.PACKAGES)
        process = await running.enter_async_context(child(*EMBEDDER, log=log))
        address = await first_line(process, log)
    except ChildError as failed:
        print(f"keepsake: no embedder, recall goes by words alone. {failed}", file=sys.stderr)
        return
    name = embedder.MODEL_NAME
    os.environ |= {
        "EMBEDDING_BASE_URL": address,
        "EMBEDDING_API_KEY": "none",
        "EMBEDDING_MODEL": name,
    }
    await running.enter_async_context(beside(_restart_embedder(process, address, log)))


async def _restart_embedder(process: asyncio.subprocess.Process, address: str, log: Path) -> None:
    """Whenever it dies, start it again at the same address: meanwhile recall goes by words, and no turn fails."""
    port = str(urlsplit(address).port)
    await process.wait()
    while True:
        await asyncio.sleep(RESTART_SECONDS)
        async with child(*EMBEDDER, "--port", port, log=log, speaks=False) as again:
            await again.wait()


def _has_own_model() -> bool:
    return bool(os.environ.get("OPENAI_BASE_URL") or os.environ.get("AZURE_OPENAI_ENDPOINT"))


def _is_scripted() -> bool:
    return os.environ.get("LOCAL_MODEL") == "off"


def _check_installed(packages: Iterable[str]) -> None:
    """Not every platform has wheels of everything."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ChildError(f"Not installed: {', '.join(missing)}")
