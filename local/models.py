"""The chat model and the embedder of `make run`, as child processes."""

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
from local.tasks import background_task

EMBEDDER = (sys.executable, "-m", "local.embedder")


@contextlib.asynccontextmanager
async def running_models(data: Path) -> AsyncIterator["asyncio.Task[int] | None"]:
    """Start the models that the environment does not configure, and add them to it.

    Yields a task that ends with our chat model, or None if the chat model is not ours.

    Raises:
        ChildError: no chat model could be started.
    """
    async with (
        _embedder(data / "embedder.log") as embedder_started,
        _chat_model(data / "model.log") as chat_model_ended,
    ):
        await embedder_started
        yield chat_model_ended


@contextlib.asynccontextmanager
async def _chat_model(log: Path) -> AsyncIterator["asyncio.Task[int] | None"]:
    """Start a chat model unless the environment configures one."""
    if os.environ.get("OPENAI_BASE_URL") or os.environ.get("AZURE_OPENAI_ENDPOINT"):
        yield None
        return
    async with contextlib.AsyncExitStack() as running:
        process = await _start_chat_model(running, log)
        yield await running.enter_async_context(background_task(process.wait()))


async def _start_chat_model(
    running: contextlib.AsyncExitStack, log: Path
) -> asyncio.subprocess.Process:
    """Start the small real model; the scripted one if that was asked for or the real one fails."""
    if os.environ.get("LOCAL_MODEL") != "off":
        try:
            _check_installed(small_model.PACKAGES)
            process = await running.enter_async_context(
                _served("local.small_model", small_model.MODEL_NAME, log)
            )
        except ChildError as failed:
            print(
                f"keepsake: the small model did not start; using the scripted one. {failed}",
                file=sys.stderr,
            )
        else:
            os.environ |= {**small_model.LIMITS, **os.environ}
            return process
    return await running.enter_async_context(_served("local.model", model.MODEL_NAME, log))


@contextlib.asynccontextmanager
async def _served(module: str, name: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    async with child(sys.executable, "-m", module, log=log) as process:
        address = await first_line(process, log)
        os.environ |= {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "none", "CHAT_MODEL": name}
        os.environ.setdefault("SUMMARISER", "extractive")  # neither model writes usable summaries
        yield process


@contextlib.asynccontextmanager
async def _embedder(log: Path) -> AsyncIterator["asyncio.Task[None]"]:
    """Start the embedder in parallel; the task ends once it is ready, or known to be missing."""
    async with (
        contextlib.AsyncExitStack() as running,
        background_task(_start_embedder(running, log)) as started,
    ):
        yield started


async def _start_embedder(running: contextlib.AsyncExitStack, log: Path) -> None:
    """Start the embedder unless the environment configures one."""
    if os.environ.get("EMBEDDING_MODEL") or os.environ.get("EMBEDDING_BASE_URL"):
        return
    try:
        _check_installed(embedder.PACKAGES)
        process = await running.enter_async_context(child(*EMBEDDER, log=log))
        address = await first_line(process, log)
    except ChildError as failed:
        print(
            f"keepsake: the embedder did not start; recall uses keywords only. {failed}",
            file=sys.stderr,
        )
        return
    os.environ |= {
        "EMBEDDING_BASE_URL": address,
        "EMBEDDING_API_KEY": "none",
        "EMBEDDING_MODEL": embedder.MODEL_NAME,
    }
    await running.enter_async_context(background_task(_restart_embedder(process, address, log)))


async def _restart_embedder(process: asyncio.subprocess.Process, address: str, log: Path) -> None:
    """Restart it at the same address whenever it dies; meanwhile recall uses keywords only."""
    port = str(urlsplit(address).port)
    await process.wait()
    while True:
        await asyncio.sleep(RESTART_SECONDS)
        async with child(*EMBEDDER, "--port", port, log=log, capture=False) as restarted:
            await restarted.wait()


def _check_installed(packages: Iterable[str]) -> None:
    """Raise ChildError if a package is missing: not all of them have wheels for every platform."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ChildError(f"Not installed: {', '.join(missing)}")
