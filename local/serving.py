"""uvicorn on a given socket, leaving the signals to the one parent that supervises."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

LOOPBACK = "127.0.0.1"
DRAIN_SECONDS = 3
IDLE_SECONDS = (
    75  # longer than any client of ours keeps a connection: none is closed just as it is used again
)


class QuietServer(uvicorn.Server):
    """A server that does not take the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes any free one.

    Raises:
        OSError: the port is taken.
    """
    front = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # else asyncio sets no TCP_NODELAY
    front.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        front.bind((LOOPBACK, port))
        front.listen(128)
    except OSError:
        front.close()
        raise
    return front


def address_of(front: socket.socket) -> str:
    """The http address of a listening socket."""
    return f"http://{LOOPBACK}:{front.getsockname()[1]}"


@contextlib.asynccontextmanager
async def serving(app: Any, front: socket.socket) -> AsyncIterator[asyncio.Task[None]]:
    """Serve an ASGI application until the block ends, then let open requests finish for three seconds."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[front]))
    try:
        yield task
    finally:
        server.should_exit = True
        await asyncio.shield(task)
