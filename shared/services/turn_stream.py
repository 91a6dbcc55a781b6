"""A turn as it happens: its events on their way from the one that takes it to the one that reads it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.domain.context import ContextEntry
from shared.domain.ids import SessionId, TurnId
from shared.domain.turns import Turn

EVENTS_AHEAD = 8  # the model may be ahead of a slow reader by so many; then it is read no further


@dataclass(frozen=True, slots=True)
class Answer:
    """A stored turn, what its model was given, and how it went."""

    turn: Turn
    replayed: bool
    context: Sequence[ContextEntry]
    degraded: Sequence[str]
    timings: dict[str, float]


@dataclass(frozen=True, slots=True)
class Started:
    """The model has begun to answer this turn, with this context."""

    session_id: SessionId
    turn_id: TurnId
    context: Sequence[ContextEntry]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of the reply; provisional until the turn is finished."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn is stored. Replaced: with another reply than the one that was streamed."""

    answer: Answer
    replaced: bool


StreamEvent = Started | Delta | Finished


class TurnStream:
    """One turn's events for one reader, bounded; the turn learns when the reader has left."""

    def __init__(self) -> None:
        """Begin with a reader."""
        self._events: asyncio.Queue[StreamEvent | BaseException] = asyncio.Queue(EVENTS_AHEAD)
        self._hearing: asyncio.Timeout | None = None
        self._left = False
        self.interrupted = False

    async def send(self, event: StreamEvent | BaseException) -> None:
        """Hand an event to the reader, waiting while the reader is behind; of no use when nobody reads."""
        if not self._left:
            await self._events.put(event)

    async def receive(self) -> StreamEvent:
        """The next event; what ended the turn is raised."""
        event = await self._events.get()
        if isinstance(event, BaseException):
            raise event
        return event

    def leave(self, *, interrupt: bool) -> None:
        """Read no further. Interrupted, the model is heard no further and what it said is the reply.

        Twice is harmless.
        """
        self._left = True
        self.interrupted = interrupt
        while not self._events.empty():
            self._events.get_nowait()
        if interrupt and self._hearing:
            self._hearing.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def hearing(self) -> AsyncIterator[None]:
        """Hear the model in this block; it ends early, quietly, when the reader interrupts."""
        try:
            async with asyncio.timeout(None) as self._hearing:
                if self.interrupted:
                    self.leave(interrupt=True)
                yield
        except TimeoutError:
            if not self.interrupted:
                raise
        finally:
            self._hearing = None
