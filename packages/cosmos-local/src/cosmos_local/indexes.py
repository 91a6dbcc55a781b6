"""Search indexes of single partitions, built when first asked and then kept up with the changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from cosmos_local.containers import Path
from cosmos_local.storage import Area, Item, Storage
from cosmos_local.values import Value, dig


class SearchIndex(Protocol):
    """What an index of one property must be able to do."""

    def put(self, row: int, value: Value) -> None:
        """Take in the newest value of a row's property, whatever it is."""

    def remove(self, rows: set[int]) -> None:
        """Forget rows."""

    def rows(self) -> set[int]:
        """Return the rows that are known."""


Index = TypeVar("Index", bound=SearchIndex)


class Indexes(Generic[Index]):
    """All indexes of one kind, by container, partition and path."""

    def __init__(self, storage: Storage, make: type[Index]) -> None:
        """Build indexes from the storage."""
        self._storage = storage
        self._make = make
        self._kept: dict[tuple[int, str, Path], _Kept[Index]] = {}

    def all(self) -> list[Index]:
        """Return the indexes built so far."""
        return [kept.index for kept in self._kept.values()]

    def of(self, area: Area, path: Path, now: float) -> Iterator[Index]:
        """Yield the up-to-date index of each partition in the area."""
        partitions = (
            [area.partition] if area.partition is not None else self._storage.partitions(area)
        )
        for partition in partitions:
            key = (area.container, partition, path)
            if key not in self._kept:
                self._kept[key] = _Kept(self._make())
            kept = self._kept[key]
            kept.refresh(self._storage, Area(area.container, partition), path, now)
            yield kept.index


class _Kept(Generic[Index]):
    def __init__(self, index: Index) -> None:
        self.index = index
        self._seen_change = 0
        self._seen_removals = 0
        self._expiry: dict[int, float] = {}

    def refresh(self, storage: Storage, area: Area, path: Path, now: float) -> None:
        """Take in what changed since the last time, and drop what is deleted or expired."""
        newest, removals = storage.last_change(area.container), storage.removals
        if removals != self._seen_removals:
            self.index.remove(self.index.rows() - storage.rows_of(area))
        if newest != self._seen_change:
            for item in storage.changed(area, self._seen_change):
                self._put(item, path)
        self._seen_change, self._seen_removals = newest, removals
        expired = {row for row, moment in self._expiry.items() if moment <= now}
        if expired:
            self.index.remove(expired)
            self._expiry = {
                row: moment for row, moment in self._expiry.items() if row not in expired
            }

    def _put(self, item: Item, path: Path) -> None:
        self._expiry.pop(item.row, None)
        if item.expires_at is not None:
            self._expiry[item.row] = item.expires_at
        self.index.put(item.row, dig(item.document(), path))
