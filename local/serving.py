"""uvicorn on a given socket, without its own handling of signals."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

LOOPBACK = "127.0.0.1"
DRAIN_SECONDS = 3
IDLE_SECONDS = 75  # longer than our clients keep connections, so none is closed as it is reused


class QuietServer(uvicorn.Server):
    """A server that leaves signals to the process that runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def listen(port: int) -> socket.socket:
    """Return a listening socket on loopback; port 0 picks a free one.

    Raises:
        OSError: the port is in use.
    """
    # Without an explicit protocol asyncio does not set TCP_NODELAY.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the http address of a listening socket."""
    return f"http://{LOOPBACK}:{listener.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving(app: Any, listener: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Serve an ASGI application until the block ends; open requests get three seconds to finish."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield task
    finally:
        server.should_exit = True
        await asyncio.shield(task)
