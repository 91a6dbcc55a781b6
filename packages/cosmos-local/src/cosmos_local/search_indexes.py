"""The vector and text indexes of an account, and what of them is kept in the file."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cosmos_local.containers import Definition
from cosmos_local.indexes import Indexes, Kept
from cosmos_local.keys import Path
from cosmos_local.storage import Area, Storage
from cosmos_local.texts import TextIndex
from cosmos_local.vectors import VectorIndex

WORTH_SAVING = 5000  # texts that take longer to index than to load


class SearchIndexes:
    """Finds or builds the index a query needs."""

    def __init__(self, storage: Storage) -> None:
        """Build nothing yet."""
        self._storage = storage
        self._vectors: Indexes[VectorIndex] = Indexes(storage)
        self._texts: Indexes[TextIndex] = Indexes(storage)

    def vectors(
        self, definition: Definition, area: Area, path: Path, dimensions: int, now: float
    ) -> Iterator[VectorIndex]:
        """Yield the vector index of each partition in the area."""
        is_packed = len(path) == 1 and path[0] in definition.packed_vectors

        def make(partition: str) -> Kept[VectorIndex]:
            rows = self._storage.count(Area(area.container, partition), now)
            index = VectorIndex(path, dimensions, is_packed=is_packed, expected=rows + 16)
            return Kept(index)

        return self._vectors.of(area, (path, dimensions), now, make)

    def texts(self, area: Area, path: Path, now: float) -> Iterator[TextIndex]:
        """Yield the text index of each partition in the area."""

        def make(partition: str) -> Kept[TextIndex]:
            return self._load(Area(area.container, partition), path)

        yield from self._texts.of(area, path, now, make)
        self.save(WORTH_SAVING)

    def _load(self, area: Area, path: Path) -> Kept[TextIndex]:
        saved = self._storage.load_snapshot(area, json.dumps(path))
        if saved is None:
            return Kept(TextIndex(path))
        kept = Kept(TextIndex(path, saved[1]), seen=saved[0], saved=saved[0])
        for row, moment in self._storage.expiries(area):
            kept.expire(row, moment)
        return kept

    def save(self, behind: int = 1) -> None:
        """Save large text indexes that are so many changes ahead of what is saved; idempotent."""
        if self._storage.path is None:
            return
        for (container, partition, path), kept in self._texts.kept().items():
            with kept.lock:
                if len(kept.index.known) < WORTH_SAVING or kept.seen - kept.saved < behind:
                    continue
                area, data = Area(container, partition), kept.index.snapshot()
                self._storage.save_snapshot(area, json.dumps(path), kept.seen, data)
                kept.saved = kept.seen

    def close(self) -> None:
        """Save what is worth it, and close what the indexes hold open."""
        self.save()
        self._texts.close()
        self._vectors.close()
