"""Bisection: which of several texts a provider's filter refuses."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Bisection(Generic[Item]):
    """Finds the items that are refused, given that some of them probably are.

    `accepts` asks whether these items are accepted together; it is called at most `calls` times.
    Only an item that was refused by itself is a culprit. `tested` are the items that are known by
    the end: accepted, or culprits.
    """

    accepts: Callable[[Sequence[Item]], Awaitable[bool]]
    calls: int
    culprits: list[Item] = field(default_factory=list)
    tested: list[Item] = field(default_factory=list)

    async def search(self, items: Sequence[Item]) -> None:
        """Search these items, half by half, and then what a refused half left unknown."""
        while items and self.calls:
            items = await self._narrow(items)
            if not (items and self.calls) or await self._accept(items):
                return

    async def _narrow(self, refused: Sequence[Item]) -> Sequence[Item]:
        """Single out one item; returns what is still unknown.

        If one half is accepted, the other one is taken for refused without asking.
        """
        unknown: list[Item] = []
        is_known = False
        while len(refused) > 1 and self.calls:
            middle = len(refused) // 2
            half, rest = refused[:middle], refused[middle:]
            if await self._accept(half):
                refused, is_known = rest, False
            else:
                unknown.extend(rest)
                refused, is_known = half, True
        if len(refused) == 1 and (is_known or self.calls):
            if is_known or not await self._accept(refused):
                self.culprits.extend(refused)
                self.tested.extend(refused)
            return unknown
        return [*refused, *unknown]

    async def _accept(self, items: Sequence[Item]) -> bool:
        self.calls -= 1
        accepted = await self.accepts(items)
        if accepted:
            self.tested.extend(items)
        return accepted
