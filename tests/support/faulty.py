"""Transports that die: what a process that was killed leaves behind, at every request it makes."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from redis.asyncio import UnixDomainSocketConnection

from tests.support.app import Keepsake, Transport


class ProcessDied(BaseException):
    """The process is gone: no handler of it runs any more."""


class Countdown:
    """Counts requests of one life, and ends it at one of them: before it is sent, or before its answer is read.

    Requests to all servers count together: a process dies as a whole.
    """

    def __init__(self, dies_at: int, *, applied: bool) -> None:
        """Die at this request, counted from 1; 0 is never."""
        self.dies_at = dies_at
        self.applied = applied
        self.requests = 0

    @property
    def is_dead(self) -> bool:
        """Whether the end was reached."""
        return 0 < self.dies_at <= self.requests

    def begin_request(self) -> None:
        """Count a request that is about to leave.

        Raises:
            ProcessDied: it does not leave any more.
        """
        self.check_alive()
        self.requests += 1
        if not self.applied:
            self.check_alive()

    def check_alive(self) -> None:
        """Let nothing happen after the end.

        Raises:
            ProcessDied: the end was reached.
        """
        if self.is_dead:
            raise ProcessDied


class WrappedTransport(Transport):
    """Passes everything on; what stands on it changes what it wants to."""

    def __init__(self, inner: Transport) -> None:
        """Wrap a transport."""
        self._inner = inner

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request."""
        return await self._inner.send(request, **kwargs)

    async def open(self) -> None:
        """Open the wrapped transport."""
        await self._inner.open()

    async def close(self) -> None:
        """Close the wrapped transport."""
        await self._inner.close()

    async def __aenter__(self) -> Self:
        """Open the wrapped transport."""
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        """Close the wrapped transport."""
        await self._inner.close()


class Watched:
    """Counts what leaves through the transports it wraps."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.batches = 0

    def wrap(self, inner: Transport) -> Transport:
        """A transport that is watched."""
        return _WatchedTransport(inner, self)


class _WatchedTransport(WrappedTransport):
    def __init__(self, inner: Transport, watched: Watched) -> None:
        super().__init__(inner)
        self._watched = watched

    async def send(self, request: Any, **kwargs: Any) -> Any:
        self._watched.batches += "x-ms-cosmos-is-batch-request" in request.headers
        return await super().send(request, **kwargs)


class Interposed:
    """Lets something happen right before the next batch leaves, through the transports it wraps."""

    def __init__(self) -> None:
        """Watch for batches; what happens is set when it is wanted."""
        self.before_next: Callable[[], Awaitable[object]] | None = None

    def wrap(self, inner: Transport) -> Transport:
        """A transport that is watched."""
        return _InterposedTransport(inner, self)


class _InterposedTransport(WrappedTransport):
    def __init__(self, inner: Transport, interposed: Interposed) -> None:
        super().__init__(inner)
        self._interposed = interposed

    async def send(self, request: Any, **kwargs: Any) -> Any:
        happening = self._interposed.before_next
        if happening and "x-ms-cosmos-is-batch-request" in request.headers:
            self._interposed.before_next = None
            await happening()
        return await super().send(request, **kwargs)


class MortalTransport(WrappedTransport):
    """Passes requests on while the process lives; a dead process sends nothing more."""

    def __init__(self, inner: Transport, countdown: Countdown) -> None:
        """Wrap a transport."""
        super().__init__(inner)
        self._countdown = countdown

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request, or die of it."""
        if (
            "/docs" not in request.url
        ):  # the SDK's own reads of account and container are no steps of a turn
            return await self._inner.send(request, **kwargs)
        self._countdown.begin_request()
        response = await self._inner.send(request, **kwargs)
        self._countdown.check_alive()
        return response


class FailingTransport(WrappedTransport):
    """Loses one request, or the answer to it, and goes on: the network's fault, not the process's."""

    def __init__(self, inner: Transport, countdown: Countdown) -> None:
        """Wrap a transport."""
        super().__init__(inner)
        self._countdown = countdown

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request, or lose it."""
        if "/docs" not in request.url:
            return await self._inner.send(request, **kwargs)
        self._countdown.requests += 1
        strikes = self._countdown.requests == self._countdown.dies_at
        if strikes and not self._countdown.applied:
            raise ServiceRequestError("lost on its way")
        response = await self._inner.send(request, **kwargs)
        if strikes:
            raise ServiceResponseError("its answer was lost")
        return response


class PageTransport(WrappedTransport):
    """Answers each request for documents with a page, as a proxy does that wants somebody to sign in."""

    def __init__(self, inner: Transport, page: bytes) -> None:
        """Wrap a transport."""
        super().__init__(inner)
        self._page = page

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request."""
        response = await self._inner.send(request, **kwargs)
        if "/docs" in request.url:
            response.body = lambda: self._page
        return response


class Meanwhile:
    """Lets something happen right before request k leaves, through the transports it wraps."""

    def __init__(self, at: int, happening: Callable[[], Awaitable[object]]) -> None:
        """Count from 1."""
        self.at = at
        self.happening = happening
        self.requests = 0

    def wrap(self, inner: Transport) -> Transport:
        """A transport that is watched."""
        return _MeanwhileTransport(inner, self)

    @property
    def happened(self) -> bool:
        """Whether there was a request k."""
        return self.requests >= self.at


class _MeanwhileTransport(WrappedTransport):
    def __init__(self, inner: Transport, meanwhile: Meanwhile) -> None:
        super().__init__(inner)
        self._meanwhile = meanwhile

    async def send(self, request: Any, **kwargs: Any) -> Any:
        if "/docs" in request.url:
            self._meanwhile.requests += 1
            if self._meanwhile.requests == self._meanwhile.at:
                await self._meanwhile.happening()
        return await super().send(request, **kwargs)


async def make_redis_mortal(worker: Keepsake, countdown: Countdown) -> None:
    """Let a worker die at its calls of Redis too, if it has one, and send nothing there when it is dead."""
    services = await worker.composition.services()
    if cache := services.clients.redis:
        pool = cache._client.connection_pool
        pool.connection_class = _MortalConnection
        pool.connection_kwargs["countdown"] = countdown


class _MortalConnection(UnixDomainSocketConnection):
    """Passes commands on while the process lives."""

    def __init__(self, *, countdown: Countdown, **options: Any) -> None:
        self._countdown = countdown
        super().__init__(**options)

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        self._countdown.check_alive()
        if any(
            b"EVALSHA" in part for part in command if isinstance(part, bytes)
        ):  # the rest is the client's own
            self._countdown.begin_request()
        await super().send_packed_command(command, check_health)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        answer = await super().read_response(*args, **kwargs)
        self._countdown.check_alive()
        return answer
