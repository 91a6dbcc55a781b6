"""Exact vector distances over one partition: one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosmos_local.keys import Path
from cosmos_local.packing import numbers_of
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

    needs_body = False

    def __init__(self, path: Path, dimensions: int, *, is_packed: bool, expected: int = 16) -> None:
        """Start empty, with room for the rows that are expected."""
        import numpy as np  # noqa: PLC0415 - only vector queries pay for it

        self._path = path
        self._is_packed = is_packed
        self.needs_body = not is_packed
        self._matrix: NDArray[np.float32] = np.empty((expected, dimensions), dtype=np.float32)
        self._lengths: NDArray[np.float32] = np.empty(expected, dtype=np.float32)
        self._rows: NDArray[np.int64] = np.empty(expected, dtype=np.int64)
        self._places: dict[int, int] = {}

    def put(self, items: list[Item]) -> None:
        """Take in items' vectors, and forget items that have none."""
        import numpy as np  # noqa: PLC0415 - as above

        read = self._packed if self._is_packed else self._unpacked
        rows, block = read(items)
        self.remove({item.row for item in items}.difference(rows))
        if not rows:
            return
        places = [self._place(row) for row in rows]
        self._matrix[places] = block
        self._lengths[places] = np.sqrt(np.einsum("ij,ij->i", block, block))

    def _packed(self, items: list[Item]) -> tuple[list[int], NDArray[np.float32]]:
        """Read vectors from where storage keeps them, all at once where they are alike."""
        import numpy as np  # noqa: PLC0415 - as above

        name, width = self._path[0], self._matrix.shape[1]
        found = {
            item.row: raw
            for item in items
            if item.vectors is not None and (raw := numbers_of(item.vectors, name)) is not None
        }
        alike = {form for form, _ in found.values()}
        if len(alike) == 1:
            numbers = np.frombuffer(b"".join([data for _, data in found.values()]), alike.pop())
            return list(found), numbers.reshape(len(found), width).astype(np.float32, copy=False)
        read = [np.frombuffer(data, form).astype(np.float32) for form, data in found.values()]
        return list(found), np.asarray(read, dtype=np.float32)

    def _unpacked(self, items: list[Item]) -> tuple[list[int], NDArray[np.float32]]:
        """Read vectors from the documents; those of another length are no match for the query."""
        import numpy as np  # noqa: PLC0415 - as above

        found = {item.row: dig(item.document(), self._path) for item in items}
        width = self._matrix.shape[1]
        vectors = {
            row: value
            for row, value in found.items()
            if isinstance(value, list) and len(value) == width and all(map(is_number, value))
        }
        return list(vectors), np.asarray(list(vectors.values()), dtype=np.float32)

    def _place(self, row: int) -> int:
        if row not in self._places:
            place = len(self._places)
            if place >= len(self._rows):
                size = int(place * _GROWTH) + 16
                self._rows.resize(size, refcheck=False)
                self._lengths.resize(size, refcheck=False)
                self._matrix.resize((size, self._matrix.shape[1]), refcheck=False)
            self._places[row] = place
            self._rows[place] = row
        return self._places[row]

    def remove(self, rows: set[int]) -> None:
        """Forget rows; the last row of the matrix takes each freed place."""
        for row in rows & self._places.keys():
            place, last = self._places.pop(row), len(self._places)
            moved = int(self._rows[last])
            if moved != row:
                self._matrix[place] = self._matrix[last]
                self._lengths[place] = self._lengths[last]
                self._rows[place] = moved
                self._places[moved] = place

    def distances(self, vector: list[float], function: str) -> Ranking:
        """Rank the rows by similarity (cosine, dotproduct) or distance (euclidean)."""
        import numpy as np  # noqa: PLC0415 - as above

        count = len(self._places)
        wanted = np.asarray(vector, dtype=np.float32)
        values = np.empty(count, dtype=np.float32)
        for start in range(0, count, _BLOCK):
            end = min(start + _BLOCK, count)
            values[start:end] = _compare(
                self._matrix[start:end], self._lengths[start:end], wanted, function
            )
        order = np.argsort(self._rows[:count], kind="stable")
        return Distances(self._rows[:count][order], values[order], function == "euclidean")

    def close(self) -> None:
        """Hold nothing open."""


def compare(left: list[float], right: list[float], function: str) -> float:
    """Return the similarity or distance of two vectors of one length."""
    import numpy as np  # noqa: PLC0415 - as above

    block = np.asarray([left], dtype=np.float32)
    wanted = np.asarray(right, dtype=np.float32)
    return float(_compare(block, np.linalg.norm(block, axis=1), wanted, function)[0])


def _compare(
    block: NDArray[np.float32],
    lengths: NDArray[np.float32],
    wanted: NDArray[np.float32],
    function: str,
) -> NDArray[np.float32]:
    import numpy as np  # noqa: PLC0415 - as above

    if function == "euclidean":
        differences = block - wanted
        distances: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
        return distances
    # not a product by BLAS, whose threads take all cores from those who share the machine
    products: NDArray[np.float32] = np.einsum("ij,j->i", block, wanted)
    if function == "dotproduct":
        return products
    scale = lengths * np.linalg.norm(wanted)
    zeros = np.zeros_like(products)
    similarities: NDArray[np.float32] = np.divide(products, scale, out=zeros, where=scale > 0)
    return similarities
