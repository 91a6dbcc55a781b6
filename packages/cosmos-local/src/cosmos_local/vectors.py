"""Exact vector distances over one partition: one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosmos_local import packing
from cosmos_local.keys import Path
from cosmos_local.rankings import Distances, Ranking
from cosmos_local.storage import Item
from cosmos_local.values import dig, is_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GROWTH = 1.25
_BLOCK = 8192  # rows of a product at a time: its intermediate results stay small


class VectorIndex:
    """The vectors of one property, as rows of a matrix."""

    def __init__(self, path: Path, dimensions: int, *, is_packed: bool) -> None:
        """Start empty; packed vectors are read from where storage keeps them."""
        import numpy as np  # noqa: PLC0415 - only vector queries pay for it

        self._path = path
        self._is_packed = is_packed
        self._matrix: NDArray[np.float32] = np.empty((16, dimensions), dtype=np.float32)
        self._rows: NDArray[np.int64] = np.empty(16, dtype=np.int64)
        self._places: dict[int, int] = {}

    def put(self, item: Item) -> None:
        """Take in an item's vector, or forget the item when it has none."""
        vector = self._vector(item)
        if vector is None or len(vector) != self._matrix.shape[1]:
            self.remove({item.row})
            return
        if item.row not in self._places:
            place = len(self._places)
            self._grow_to(place + 1)
            self._places[item.row] = place
            self._rows[place] = item.row
        self._matrix[self._places[item.row]] = vector

    def _vector(self, item: Item) -> NDArray[np.float32] | None:
        import numpy as np  # noqa: PLC0415 - as above

        if self._is_packed and item.vectors is not None:
            raw = packing.numbers_of(item.vectors, self._path[0])
            if raw is None:
                return None
            return np.frombuffer(raw[1], dtype=f"<{raw[0]}").astype(np.float32, copy=False)
        value = dig(item.document(), self._path)
        if not isinstance(value, list) or not all(map(is_number, value)):
            return None
        return np.asarray(value, dtype=np.float32)

    def _grow_to(self, count: int) -> None:
        if count > len(self._rows):
            size = int(count * _GROWTH) + 16
            self._rows.resize(size, refcheck=False)
            self._matrix.resize((size, self._matrix.shape[1]), refcheck=False)

    def remove(self, rows: set[int]) -> None:
        """Forget rows; the last row of the matrix takes each freed place."""
        for row in rows & self._places.keys():
            place, last = self._places.pop(row), len(self._places)
            moved = int(self._rows[last])
            if moved != row:
                self._matrix[place] = self._matrix[last]
                self._rows[place] = moved
                self._places[moved] = place

    def distances(self, vector: list[float], function: str) -> Ranking:
        """Rank the rows by similarity (cosine, dotproduct) or distance (euclidean)."""
        import numpy as np  # noqa: PLC0415 - as above

        count = len(self._places)
        wanted = np.asarray(vector, dtype=np.float32)
        values = np.empty(count, dtype=np.float32)
        for start in range(0, count, _BLOCK):
            block = self._matrix[start : min(start + _BLOCK, count)]
            values[start : start + len(block)] = _compare(block, wanted, function)
        order = np.argsort(self._rows[:count], kind="stable")
        return Distances(self._rows[:count][order], values[order], function == "euclidean")

    def close(self) -> None:
        """Hold nothing open."""


def compare(left: list[float], right: list[float], function: str) -> float:
    """Return the similarity or distance of two vectors of one length."""
    import numpy as np  # noqa: PLC0415 - as above

    block = np.asarray([left], dtype=np.float32)
    return float(_compare(block, np.asarray(right, dtype=np.float32), function)[0])


def _compare(
    block: NDArray[np.float32], wanted: NDArray[np.float32], function: str
) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415 - as above

    if function == "euclidean":
        differences = block - wanted
        distances: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
        return distances
    products: NDArray[np.float32] = block @ wanted
    if function == "dotproduct":
        return products
    lengths = np.sqrt(np.einsum("ij,ij->i", block, block)) * np.linalg.norm(wanted)
    zeros = np.zeros_like(products)
    similarities: NDArray[np.float32] = np.divide(products, lengths, out=zeros, where=lengths > 0)
    return similarities
