"""`python -m devtools.functions`: the app in the current folder, in Azure's own worker library.

It replaces the Functions host but never bypasses the worker, which produces every response.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from starlette.applications import Starlette

from devtools.front import Front
from devtools.queue_pump import Pump, QueueOptions
from devtools.worker_protocol import Worker, WorkerError
from local.serving import address_of, listen, serving


def main() -> int:
    """Serve until a signal; return 1 if the worker cannot run the app."""
    parser = argparse.ArgumentParser(prog="python -m devtools.functions", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=7071, help="0 picks a free one (default: %(default)s)"
    )
    try:
        asyncio.run(_serve(Path.cwd(), parser.parse_args().port))
    except WorkerError as failed:
        print(f"functions: {failed}", file=sys.stderr)
        return 1
    return 0


async def _serve(folder: Path, port: int) -> None:
    stopped = asyncio.Event()
    worker = await Worker.start(folder)
    for name in (signal.SIGINT, signal.SIGTERM):  # after the worker's web server has taken them
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    with contextlib.closing(listen(port)) as listener:
        async with (
            open_front(worker, folder) as app,
            _pumping(worker, folder),
            serving(app, listener),
        ):
            print(address_of(listener), flush=True)
            await stopped.wait()


@contextlib.asynccontextmanager
async def open_front(worker: Worker, folder: Path) -> AsyncIterator[Starlette]:
    """Yield the HTTP front end of a worker, with the folder's host.json, as an ASGI application."""
    prefix = _read_host(folder).get("extensions", {}).get("http", {}).get("routePrefix", "api")
    no_timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(auto_decompress=False, timeout=no_timeout) as session:
        yield Front(worker, session, prefix).app


@contextlib.asynccontextmanager
async def _pumping(worker: Worker, folder: Path) -> AsyncIterator[None]:
    """Deliver messages to the queue functions whose connection is set."""
    options = QueueOptions.read(_read_host(folder), os.environ)
    async with contextlib.AsyncExitStack() as running:
        for function in worker.functions.values():
            connection = os.environ.get(str(function.trigger.get("connection")), "")
            if function.trigger["type"] == "queueTrigger" and connection:
                await running.enter_async_context(
                    Pump(worker, function, options, connection).running()
                )
        yield


def _read_host(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "host.json").read_text())
    return content


if __name__ == "__main__":
    sys.exit(main())
