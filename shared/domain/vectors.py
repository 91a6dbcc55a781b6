"""A vector: what a text means, as numbers of one embedding model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

DIMENSIONS = 512  # as the container's vector policy says, which can never be changed
DECIMALS = 6  # of each number: all that a 32-bit float holds of it, and half of its JSON


@dataclass(frozen=True, slots=True)
class Vector:
    """The meaning of a text. Vectors of different models are never compared (F47)."""

    model: str
    numbers: tuple[float, ...]


def make_vector(model: str, numbers: Sequence[float]) -> Vector:
    """A vector of the container's length: a shorter one is filled up with zeros, which changes no angle.

    Only its direction is kept: models differ in how long theirs are, and numbers far from 1 would not survive rounding.

    Raises:
        ValueError: it has too many numbers, none, or no direction.
    """
    length = math.hypot(*numbers)
    if not 0 < length < math.inf or len(numbers) > DIMENSIONS:
        raise ValueError(
            f"A vector has 1 to {DIMENSIONS} numbers, not all of them 0 and none of them without end"
        )
    rest = (0.0,) * (DIMENSIONS - len(numbers))
    return Vector(model, (*(round(float(number) / length, DECIMALS) for number in numbers), *rest))
