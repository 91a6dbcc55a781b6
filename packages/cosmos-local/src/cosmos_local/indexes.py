"""Search indexes of single partitions: built when first used, then kept up with the changes.

An index takes in a few hundred items at a time, so that other requests are served in between.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from cosmos_local.storage import Area, Item, Storage

_CHUNK = 1000


class SearchIndex(Protocol):
    """What an index of one property must be able to do."""

    needs_body: bool

    def put(self, items: list[Item]) -> None:
        """Take in the newest versions of items."""

    def remove(self, rows: set[int]) -> None:
        """Forget rows."""

    def close(self) -> None:
        """Release what is held open."""


Index = TypeVar("Index", bound=SearchIndex)
Key = tuple[int, str, object]  # container, partition, and which index of the partition


@dataclass
class Kept(Generic[Index]):
    """An index, and how far it has come."""

    index: Index
    seen: int = 0
    saved: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)
    _expiry: dict[int, float] = field(default_factory=dict)
    _soonest: list[tuple[float, int]] = field(default_factory=list)

    def catch_up(self, storage: Storage, area: Area, now: float) -> None:
        """Take in what changed since the last time, and drop what is deleted or expired."""
        since, newest = self.seen, storage.last_change(area.container)
        if newest != since:
            body = self.index.needs_body
            while chunk := storage.changed(area, self.seen, _CHUNK, with_body=body):
                self.index.put(chunk)
                for item in chunk:
                    self.expire(item.row, item.expires_at)
                self.seen = chunk[-1].change
            # read last, for what was removed meanwhile; a row's number is never used again
            self.index.remove(storage.removed(area, since))
            self.seen = max(self.seen, newest)
        while self._soonest and self._soonest[0][0] <= now:
            moment, row = heapq.heappop(self._soonest)
            if self._expiry.get(row) == moment:
                self.index.remove({row})

    def expire(self, row: int, moment: float | None) -> None:
        """Note when a row expires, if it does."""
        self._expiry.pop(row, None)
        if moment is not None:
            self._expiry[row] = moment
            heapq.heappush(self._soonest, (moment, row))


class Indexes(Generic[Index]):
    """All indexes of one kind, by container, partition and what they index."""

    def __init__(self, storage: Storage) -> None:
        """Build indexes from the storage."""
        self._storage = storage
        self._kept: dict[Key, Kept[Index]] = {}
        self._lock = threading.Lock()

    def kept(self) -> dict[Key, Kept[Index]]:
        """Return the indexes built so far."""
        return dict(self._kept)

    def of(
        self, area: Area, which: object, now: float, make: Callable[[str], Kept[Index]]
    ) -> Iterator[Index]:
        """Yield the up-to-date index of each partition in the area, one by one, to read from."""
        named = area.partition
        partitions = [named] if named is not None else self._storage.partitions(area)
        for partition in partitions:
            with self._up_to_date(area.container, partition, which, now, make) as index:
                yield index

    @contextmanager
    def _up_to_date(
        self,
        container: int,
        partition: str,
        which: object,
        now: float,
        make: Callable[[str], Kept[Index]],
    ) -> Iterator[Index]:
        with self._lock:
            key = (container, partition, which)
            if key not in self._kept:
                self._kept[key] = make(partition)
            kept = self._kept[key]
        with kept.lock:
            kept.catch_up(self._storage, Area(container, partition), now)
            yield kept.index

    def close(self) -> None:
        """Close every index."""
        for kept in self._kept.values():
            kept.index.close()
