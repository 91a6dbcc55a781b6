"""Faulty transports: a process that is killed, or a network that fails, at any request."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self

from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from redis.asyncio import UnixDomainSocketConnection

from tests.support.app import Keepsake, ProcessDied, Transport


class Countdown:
    """Counts a process's requests, and kills it at one of them.

    The process dies before the request is sent, or before the response is read. Requests to all
    servers are counted together, because a process dies as a whole.
    """

    def __init__(self, dies_at: int, *, applied: bool) -> None:
        """Kill the process at this request, counted from 1; 0 means never."""
        self.dies_at = dies_at
        self.applied = applied
        self.requests = 0

    @property
    def is_dead(self) -> bool:
        """Whether the process was killed."""
        return 0 < self.dies_at <= self.requests

    def count_request(self) -> None:
        """Count a request that is about to be sent.

        Raises:
            ProcessDied: the process is dead, or dies before this request is sent.
        """
        self.check_alive()
        self.requests += 1
        if not self.applied:
            self.check_alive()

    def check_alive(self) -> None:
        """Check that the process lives.

        Raises:
            ProcessDied: the process is dead.
        """
        if self.is_dead:
            raise ProcessDied


class WrappedTransport(Transport):
    """Forwards everything; subclasses override what they change."""

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


class BatchCounter:
    """Counts batches sent through the transports it wraps."""

    def __init__(self) -> None:
        """Start at zero."""
        self.batches = 0

    def wrap(self, inner: Transport) -> Transport:
        """A transport that counts."""
        return _CountingTransport(inner, self)


class _CountingTransport(WrappedTransport):
    def __init__(self, inner: Transport, counter: BatchCounter) -> None:
        super().__init__(inner)
        self._counter = counter

    async def send(self, request: Any, **kwargs: Any) -> Any:
        self._counter.batches += "x-ms-cosmos-is-batch-request" in request.headers
        return await super().send(request, **kwargs)


class BatchHook:
    """Runs a callback right before the next batch, in the transports it wraps."""

    def __init__(self) -> None:
        """Start without a callback."""
        self.before_next: Callable[[], Awaitable[object]] | None = None

    def wrap(self, inner: Transport) -> Transport:
        """A transport with the hook."""
        return _BatchHookTransport(inner, self)


class _BatchHookTransport(WrappedTransport):
    def __init__(self, inner: Transport, hook: BatchHook) -> None:
        super().__init__(inner)
        self._hook = hook

    async def send(self, request: Any, **kwargs: Any) -> Any:
        callback = self._hook.before_next
        if callback and "x-ms-cosmos-is-batch-request" in request.headers:
            self._hook.before_next = None
            await callback()
        return await super().send(request, **kwargs)


class CrashingTransport(WrappedTransport):
    """Forwards requests while the process lives; a killed process sends nothing more."""

    def __init__(self, inner: Transport, countdown: Countdown) -> None:
        """Wrap a transport."""
        super().__init__(inner)
        self._countdown = countdown

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request, or die at it."""
        if "/docs" not in request.url:  # the SDK's own metadata reads are not part of a turn
            return await self._inner.send(request, **kwargs)
        self._countdown.count_request()
        response = await self._inner.send(request, **kwargs)
        self._countdown.check_alive()
        return response


class FailingTransport(WrappedTransport):
    """Loses one request or its response, and continues: the network failed, not the process."""

    def __init__(self, inner: Transport, countdown: Countdown) -> None:
        """Wrap a transport."""
        super().__init__(inner)
        self._countdown = countdown

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request, or lose it."""
        if "/docs" not in request.url:
            return await self._inner.send(request, **kwargs)
        self._countdown.requests += 1
        is_lost = self._countdown.requests == self._countdown.dies_at
        if is_lost and not self._countdown.applied:
            raise ServiceRequestError("request lost")
        response = await self._inner.send(request, **kwargs)
        if is_lost:
            raise ServiceResponseError("response lost")
        return response


class PageTransport(WrappedTransport):
    """Returns a web page for each document request, as a proxy with a login page does."""

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


class RequestHook:
    """Runs a callback right before request k, in the transports it wraps."""

    def __init__(self, at: int, callback: Callable[[], Awaitable[object]]) -> None:
        """Take the number of the request, counted from 1, and the callback."""
        self.at = at
        self.callback = callback
        self.requests = 0

    def wrap(self, inner: Transport) -> Transport:
        """A transport with the hook."""
        return _RequestHookTransport(inner, self)

    @property
    def has_run(self) -> bool:
        """Whether there was a request k."""
        return self.requests >= self.at


class _RequestHookTransport(WrappedTransport):
    def __init__(self, inner: Transport, hook: RequestHook) -> None:
        super().__init__(inner)
        self._hook = hook

    async def send(self, request: Any, **kwargs: Any) -> Any:
        if "/docs" in request.url:
            self._hook.requests += 1
            if self._hook.requests == self._hook.at:
                await self._hook.callback()
        return await super().send(request, **kwargs)


async def let_redis_calls_crash(worker: Keepsake, countdown: Countdown) -> None:
    """Let a worker's Redis calls crash too, if it has Redis."""
    services = await worker.composition.services()
    if cache := services.clients.redis:
        pool = cache._client.connection_pool
        pool.connection_class = _CrashingConnection
        pool.connection_kwargs["countdown"] = countdown


class _CrashingConnection(UnixDomainSocketConnection):
    """Forwards commands while the process lives."""

    def __init__(self, *, countdown: Countdown, **options: Any) -> None:
        self._countdown = countdown
        super().__init__(**options)

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,  # noqa: FBT001, FBT002
    ) -> None:
        self._countdown.check_alive()
        # other commands are the client's own
        if any(b"EVALSHA" in part for part in command if isinstance(part, bytes)):
            self._countdown.count_request()
        await super().send_packed_command(command, check_health)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        answer = await super().read_response(*args, **kwargs)
        self._countdown.check_alive()
        return answer
