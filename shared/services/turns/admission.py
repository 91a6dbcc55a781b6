"""Admission: users take turns at what a worker does at a time, so that none holds up another."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

from shared.domain.errors import Busy
from shared.domain.ids import UserId

ALONE_AFTER = 2.0  # seconds without another user until one may take more places
SMOOTHING = 0.1  # weight of the newest duration in the mean
MAX_RETRY_AFTER = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Places of a gate, and how many may wait for one; in the worker, and of one user.

    `alone` places are one user's while no other was seen for two seconds.
    """

    places: int
    user_places: int
    waiting: int
    user_waiting: int
    alone: int = 0


RUNNING = Limits(places=256, user_places=32, waiting=1024, user_waiting=512, alone=192)
WORK = Limits(places=16, user_places=2, waiting=10_000, user_waiting=10_000, alone=8)
BACKGROUND = Limits(places=64, user_places=8, waiting=0, user_waiting=0)


@dataclass(slots=True)
class _Line:
    """One user at a gate: places taken, and those who wait; `urgent` ones go first."""

    taken: int = 0
    urgent: deque[asyncio.Future[None]] = field(default_factory=deque)
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @property
    def length(self) -> int:
        return len(self.urgent) + len(self.waiting)

    def pop(self) -> asyncio.Future[None]:
        return (self.urgent or self.waiting).popleft()


class Gate:
    """A number of places. Users with someone waiting take turns, each in order of arrival."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines: dict[UserId, _Line] = {}
        self._ring: deque[UserId] = deque()  # users with someone waiting
        self._taken = self._waiting = 0
        self._seen: dict[UserId, float] = {}
        self._mean = 1.0  # seconds that a place is held

    @asynccontextmanager
    async def entered(self, user: UserId, *, urgent: bool = False) -> AsyncIterator[None]:
        """Hold a place during the block.

        Raises:
            Busy: too many wait already; nothing has started.
        """
        await self._enter(user, urgent=urgent)
        start = time.monotonic()
        try:
            yield
        finally:
            self._mean += SMOOTHING * (time.monotonic() - start - self._mean)
            self._leave(user)

    async def _enter(self, user: UserId, *, urgent: bool) -> None:
        self._note(user)
        line = self._lines.setdefault(user, _Line())
        if not line.length and self._has_place(user, line):
            self._take(line)
            return
        if self._waiting >= self._limits.waiting or line.length >= self._limits.user_waiting:
            self._forget(user, line)
            raise Busy(
                "This user or this worker has too many turns in progress; send the same request "
                "again",
                retry_after=self._retry_after,
            )
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not line.length:
            self._ring.append(user)
        (line.urgent if urgent else line.waiting).append(place)
        self._waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave(user)  # the place was given at the same moment
            else:
                self._withdraw(user, line, place)
            raise

    def _leave(self, user: UserId) -> None:
        line = self._lines[user]
        line.taken -= 1
        self._taken -= 1
        self._forget(user, line)
        self._admit()

    def _admit(self) -> None:
        """Give free places to those who wait, one user after the other."""
        given = True
        while given:  # one user may take several
            given = False
            for _ in range(len(self._ring)):
                if self._taken >= self._limits.places:
                    return  # the first in the ring is served next
                given |= self._admit_one(self._ring.popleft())

    def _admit_one(self, user: UserId) -> bool:
        """Give the user a place, if there is one; back to the end of the ring while some wait."""
        line, given = self._lines[user], False
        while line.length and not given and self._has_place(user, line):
            place = line.pop()
            self._waiting -= 1
            if not place.done():
                self._take(line)
                place.set_result(None)
                given = True
        if line.length:
            self._ring.append(user)
        else:
            self._forget(user, line)
        return given

    def _withdraw(self, user: UserId, line: _Line, place: asyncio.Future[None]) -> None:
        for waiting in (line.urgent, line.waiting):
            if place in waiting:
                waiting.remove(place)
                self._waiting -= 1
        if self._lines.get(user) is not line:
            return  # it ended, and the user has come again since
        if not line.length and user in self._ring:
            self._ring.remove(user)
        self._forget(user, line)

    def _take(self, line: _Line) -> None:
        line.taken += 1
        self._taken += 1

    def _has_place(self, user: UserId, line: _Line) -> bool:
        is_alone = self._limits.alone and len(self._seen) == 1 and user in self._seen
        own = self._limits.alone if is_alone else self._limits.user_places
        return line.taken < own and self._taken < self._limits.places

    def _note(self, user: UserId) -> None:
        now = time.monotonic()
        self._seen.pop(user, None)
        self._seen[user] = now  # the newest at the end
        while now - next(iter(self._seen.values())) > ALONE_AFTER:
            del self._seen[next(iter(self._seen))]

    def _forget(self, user: UserId, line: _Line) -> None:
        if not line.taken and not line.length and self._lines.get(user) is line:
            del self._lines[user]

    @property
    def _retry_after(self) -> float:
        """Roughly when those who wait now will have been served."""
        seconds = (self._waiting + 1) * self._mean / self._limits.places
        return min(MAX_RETRY_AFTER, max(1.0, seconds))


@dataclass(frozen=True, slots=True)
class Admission:
    """The gates of a worker.

    A turn holds a place of `running` from its opening to its end, and one of `work` whenever it
    does not wait for the model or for another request. `background` bounds turns that go on
    without their caller.
    """

    running: Gate = field(default_factory=lambda: Gate(RUNNING))
    work: Gate = field(default_factory=lambda: Gate(WORK))
    background: Gate = field(default_factory=lambda: Gate(BACKGROUND))
    _tasks: WeakSet[asyncio.Task[Any]] = field(default_factory=WeakSet)

    @asynccontextmanager
    async def admitted(self, user: UserId) -> AsyncIterator[None]:
        """Run a turn of the current task.

        Raises:
            Busy: too many wait already; nothing has started.
        """
        async with self.running.entered(user):
            if task := asyncio.current_task():
                self._tasks.add(task)
            yield

    def has_admitted(self, task: asyncio.Task[Any]) -> bool:
        """Whether the task's turn has started."""
        return task in self._tasks
