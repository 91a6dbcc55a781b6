"""A proxy for unix sockets that can drop a response or switch to another server."""

import asyncio
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from local.redis import socket_folder


class CuttingProxy:
    """Forwards bytes both ways; on request, drops a connection instead of forwarding a response."""

    def __init__(self, target: Path) -> None:
        """Take the socket to forward to."""
        self._target = target
        self._folder = socket_folder()
        self.socket = self._folder.__enter__()
        self._responses_left = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    def cut_response(self, number: int) -> None:
        """Drop the response of this number, counted from 1; only that one."""
        self._responses_left = number

    def switch_to(self, target: Path) -> None:
        """Forward new connections to another server, as DNS does after a failover."""
        self._target = target

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_unix_server(self._serve, str(self.socket))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close, and remove the socket."""
        if self._server:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        self._folder.__exit__(None, None, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(str(self._target))
        except OSError:
            writer.close()
            return
        current = asyncio.current_task()
        assert current
        self._open.add(current)
        requests = asyncio.create_task(_copy(reader, server_writer))
        try:
            while answer := await server_reader.read(65_536):
                self._responses_left -= 1
                if self._responses_left == 0:
                    break
                writer.write(answer)
                await writer.drain()
        finally:
            requests.cancel()
            server_writer.close()
            writer.close()
            self._open.discard(current)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


class TlsProxy(CuttingProxy):
    """The same proxy on a loopback port with TLS, like a managed Redis."""

    def __init__(self, target: Path, context: ssl.SSLContext) -> None:
        """Take the socket to forward to, and the server's certificate."""
        super().__init__(target)
        self._context = context

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        return self
