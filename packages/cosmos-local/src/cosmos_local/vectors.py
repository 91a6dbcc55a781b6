"""Exact vector distances over one partition: one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosmos_local.values import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GROWTH = 1.25


class VectorIndex:
    """The vectors of one property, as rows of a matrix."""

    def __init__(self) -> None:
        """Begin with nothing; numpy is imported with the first vector."""
        self._matrix: NDArray[np.float32] | None = None
        self._rows: list[int] = []
        self._places: dict[int, int] = {}

    def put(self, row: int, value: Value) -> None:
        """Store a row's vector, or forget the row when it has none."""
        import numpy as np  # noqa: PLC0415 - only vector queries pay for it

        if not isinstance(value, list):
            self.remove({row})
            return
        matrix = self._room(row, len(value))
        matrix[self._places[row]] = np.asarray(value, dtype=np.float32)

    def _room(self, row: int, dimensions: int) -> NDArray[np.float32]:
        import numpy as np  # noqa: PLC0415 - as above

        if self._matrix is None:
            self._matrix = np.empty((16, dimensions), dtype=np.float32)
        if row not in self._places:
            self._places[row] = len(self._rows)
            self._rows.append(row)
        if len(self._rows) > len(self._matrix):
            self._matrix.resize((int(len(self._rows) * _GROWTH) + 16, dimensions), refcheck=False)
        return self._matrix

    def remove(self, rows: set[int]) -> None:
        """Forget rows; the last row of the matrix takes each freed place."""
        for row in rows & self._places.keys():
            place, last = self._places.pop(row), self._rows.pop()
            if last != row and self._matrix is not None:
                self._matrix[place] = self._matrix[len(self._rows)]
                self._rows[place] = last
                self._places[last] = place

    def rows(self) -> set[int]:
        """Return the rows that have a vector."""
        return set(self._places)

    def distances(self, vector: list[float], function: str) -> dict[int, float]:
        """Return each row's similarity (cosine, dotproduct) or distance (euclidean)."""
        if self._matrix is None or not self._rows:
            return {}
        import numpy as np  # noqa: PLC0415 - as above

        stored = self._matrix[: len(self._rows)]
        wanted = np.asarray(vector, dtype=np.float32)
        scores = (
            np.linalg.norm(stored - wanted, axis=1) if function == "euclidean" else stored @ wanted
        )
        if function == "cosine":
            lengths = np.sqrt(np.einsum("ij,ij->i", stored, stored)) * np.linalg.norm(wanted)
            scores = np.divide(scores, lengths, out=np.zeros_like(scores), where=lengths > 0)
        return dict(zip(self._rows, scores.tolist(), strict=True))
