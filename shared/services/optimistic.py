"""Conditional writes: the only way to change a document that has concurrent writers."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from shared.domain.errors import Busy

FIRST_PAUSE, MAX_PAUSE = 0.01, 0.25  # seconds between two attempts, with full jitter

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pause:
    """The write could not be made now; it may be tried again after these seconds."""

    seconds: float


class OptimisticWriter:
    """Repeats a conditional write until it applies or its deadline has passed.

    Writers of one key in this process take turns. That is only a courtesy which saves lost races:
    the condition of each write decides, also between processes.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._locks: WeakValueDictionary[Hashable, _Lock] = WeakValueDictionary()

    async def write(self, key: Hashable, attempt: Callable[[], Awaitable[Result | None]]) -> Result:
        """Call `attempt` until it returns a result; None means that another writer was faster.

        An attempt reads what is stored now, changes it, and writes it on the condition that it
        has not changed. It must be idempotent, because a lost answer repeats it.

        Raises:
            Busy: the deadline has passed; the attempt that was under way may have been applied.
        """
        try:
            async with asyncio.timeout(self._seconds):
                return await self.write_until_cancelled(key, attempt)
        except TimeoutError as late:
            raise Busy(
                "Too many others are changing this at the moment; send the same request again",
                retry_after=1,
            ) from late

    async def write_until_cancelled(
        self, key: Hashable, attempt: Callable[[], Awaitable[Result | Pause | None]]
    ) -> Result:
        """Do the same without a deadline of its own: the caller has one.

        An attempt may also ask for a pause, in which others of this process may write.
        """
        lock = self._locks.setdefault(key, _Lock())
        while True:
            async with lock.mutex:
                result = await until_it_applies(attempt)
            if not isinstance(result, Pause):
                return result
            await asyncio.sleep(result.seconds)


class _Lock:
    __slots__ = ("__weakref__", "mutex")

    def __init__(self) -> None:
        self.mutex = asyncio.Lock()


async def until_it_applies(
    attempt: Callable[[], Awaitable[Result | Pause | None]],
) -> Result | Pause:
    """Repeat an attempt that loses races, after short random pauses."""
    pause = FIRST_PAUSE
    while (result := await attempt()) is None:
        await asyncio.sleep(_jitter(pause))
        pause = min(MAX_PAUSE, 2 * pause)
    return result


def _jitter(seconds: float) -> float:
    return random.uniform(0, seconds)  # noqa: S311 - spreads load, guards nothing
