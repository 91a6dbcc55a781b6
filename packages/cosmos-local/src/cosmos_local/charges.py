"""Request charges: an estimate from the published figures, never a measurement.

Item writes also pay for the index, which is not modelled. See docs/local-cosmos.md for the table.
"""

from __future__ import annotations

import math

READ = 1.0
READ_PER_KB = 0.1  # a point read of 1 KB costs 1 RU, one of 100 KB about 10
WRITE = 5.0
WRITE_PER_KB = 0.45  # a write of 1 KB costs about 5 RU, one of 100 KB about 50
REPLACE_FACTOR = 2.0
QUERY = 2.3
QUERY_PER_ITEM = 0.03
QUERY_PER_KB = 0.1


def read(size: int, *, strong: bool) -> float:
    """Estimate a point read; strong reads ask two replicas."""
    charge = READ + READ_PER_KB * (_kilobytes(size) - 1)
    return round(charge * (2 if strong else 1), 2)


def write(size: int, *, replaces: bool) -> float:
    """Estimate a create, or a replace, which removes the old index entries too."""
    charge = WRITE + WRITE_PER_KB * (_kilobytes(size) - 1)
    return round(charge * (REPLACE_FACTOR if replaces else 1), 2)


def query(read_items: int, size: int, *, strong: bool) -> float:
    """Estimate one page of a query from the items it read and the bytes it returned."""
    charge = QUERY + QUERY_PER_ITEM * read_items + QUERY_PER_KB * (_kilobytes(size) - 1)
    return round(charge * (2 if strong else 1), 2)


def header(charge: float) -> dict[str, str]:
    """Write a charge as the service does."""
    return {"x-ms-request-charge": f"{charge:.2f}"}


def _kilobytes(size: int) -> int:
    return max(1, math.ceil(size / 1024))
