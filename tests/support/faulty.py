"""A transport that dies: what a process that was killed leaves behind, at every request it makes."""

from typing import Any, Self

from tests.support.app import Transport


class ProcessDied(BaseException):
    """The process is gone: no handler of it runs any more."""


class Countdown:
    """Counts requests of one life, and ends it at one of them: before it is sent, or before its answer is read."""

    def __init__(self, dies_at: int, *, applied: bool) -> None:
        """Die at this request, counted from 1; 0 is never."""
        self.dies_at = dies_at
        self.applied = applied
        self.requests = 0

    @property
    def is_dead(self) -> bool:
        """Whether the end was reached."""
        return 0 < self.dies_at <= self.requests


class MortalTransport(Transport):
    """Passes requests on while the process lives; a dead process sends nothing more."""

    def __init__(self, inner: Transport, countdown: Countdown) -> None:
        """Wrap a transport."""
        self._inner = inner
        self._countdown = countdown

    async def send(self, request: Any, **kwargs: Any) -> Any:
        """Send one request, or die of it."""
        countdown = self._countdown
        if "/docs" not in request.url:  # the SDK's own reads of account and container are no steps of a turn
            return await self._inner.send(request, **kwargs)
        if countdown.is_dead:
            raise ProcessDied
        countdown.requests += 1
        if countdown.is_dead and not countdown.applied:
            raise ProcessDied
        response = await self._inner.send(request, **kwargs)
        if countdown.is_dead:
            raise ProcessDied
        return response

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
