"""A vector: the embedding of a text by one model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

DIMENSIONS = 512  # as in the container's vector policy, which cannot be changed
DECIMALS = 6  # per number: the precision of a 32-bit float, in half the JSON


@dataclass(frozen=True, slots=True)
class Vector:
    """An embedding. Vectors of different models are never compared (F47)."""

    model: str
    numbers: tuple[float, ...]


def make_vector(model: str, numbers: Sequence[float]) -> Vector:
    """Normalise an embedding to unit length and pad it with zeros to the container's dimensions.

    Padding does not change angles. Models differ in the length of their vectors, and numbers far
    from 1 would be rounded away.

    Raises:
        ValueError: there are too many numbers or none, all are 0, or one is not finite.
    """
    length = math.hypot(*numbers)
    if not 0 < length < math.inf or len(numbers) > DIMENSIONS:
        raise ValueError(
            f"A vector has 1 to {DIMENSIONS} finite numbers that are not all 0; check the model"
        )
    rest = (0.0,) * (DIMENSIONS - len(numbers))
    return Vector(model, (*(round(float(number) / length, DECIMALS) for number in numbers), *rest))
