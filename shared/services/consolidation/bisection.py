"""Bisection: which of several texts a provider's filter refuses."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Bisection(Generic[Item]):
    """Finds what is refused among items that are refused together.

    `accepts` asks whether these items are accepted together; it is called at most `calls` times.
    With one culprit among n items, log2(n) calls find it and one more clears the rest. `tested`
    are the items that are known by the end: accepted, or culprits.
    """

    accepts: Callable[[Sequence[Item]], Awaitable[bool]]
    calls: int
    culprits: list[Item] = field(default_factory=list)
    tested: list[Item] = field(default_factory=list)

    async def search(self, items: Sequence[Item], *, is_proven: bool) -> None:
        """Search these items; first find out whether they are refused, unless it is proven."""
        if items and not is_proven:
            if not self.calls:
                return
            if await self._accept(items):
                return
        while items:
            items = await self._isolate(items)
            if not items or not self.calls or await self._accept(items):
                return

    async def _isolate(self, refused: Sequence[Item]) -> Sequence[Item]:
        """Find one culprit among items that are refused; returns what is still unknown."""
        unknown: list[Item] = []
        while len(refused) > 1:
            if not self.calls:
                return [*refused, *unknown]
            middle = len(refused) // 2
            if await self._accept(refused[:middle]):
                refused = refused[middle:]
            else:
                unknown.extend(refused[middle:])
                refused = refused[:middle]
        self.culprits.extend(refused)
        self.tested.extend(refused)
        return unknown

    async def _accept(self, items: Sequence[Item]) -> bool:
        self.calls -= 1
        accepted = await self.accepts(items)
        if accepted:
            self.tested.extend(items)
        return accepted
