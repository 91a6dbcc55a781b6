"""A turn's events on their way from the task that takes the turn to its reader."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.domain.ids import SessionId, TurnId
from shared.domain.prompt import ContextEntry
from shared.services.turns.answer import Answer

EVENTS_AHEAD = 8  # how far the model may be ahead of a slow reader before it is read no further


@dataclass(frozen=True, slots=True)
class ContextEvent:
    """The model has started to answer this turn, with this context."""

    session_id: SessionId
    turn_id: TurnId
    context: Sequence[ContextEntry]


@dataclass(frozen=True, slots=True)
class DeltaEvent:
    """A part of the reply; provisional until the turn is stored."""

    text: str


@dataclass(frozen=True, slots=True)
class DoneEvent:
    """The turn is stored; `replaced` if with another reply than the one that was streamed."""

    answer: Answer
    replaced: bool


StreamEvent = ContextEvent | DeltaEvent | DoneEvent


class TurnStream:
    """The events of one turn for one reader, bounded; the turn learns when the reader leaves."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[StreamEvent | BaseException] = asyncio.Queue(EVENTS_AHEAD)
        self._generating: asyncio.Timeout | None = None
        self._left = False
        self.interrupted = False

    async def send(self, event: StreamEvent | BaseException) -> None:
        """Hand an event to the reader, waiting while it is behind; drop it if nobody reads."""
        if not self._left:
            await self._events.put(event)

    async def receive(self) -> StreamEvent:
        """The next event; raises whatever ended the turn."""
        event = await self._events.get()
        if isinstance(event, BaseException):
            raise event
        return event

    def leave(self, *, interrupt: bool) -> None:
        """Stop reading. With `interrupt`, stop generation too; what was said becomes the reply.

        Idempotent.
        """
        self._left = True
        self.interrupted = interrupt
        while not self._events.empty():
            self._events.get_nowait()
        if interrupt and self._generating:
            self._generating.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def generating(self) -> AsyncIterator[None]:
        """Run the block until it ends, or quietly stop it when the reader interrupts."""
        try:
            async with asyncio.timeout(None) as self._generating:
                if self.interrupted:
                    self.leave(interrupt=True)
                yield
        except TimeoutError:
            if not self.interrupted:
                raise
        finally:
            self._generating = None
