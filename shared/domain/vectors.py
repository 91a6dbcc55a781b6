"""A vector: what a text means, as numbers of one embedding model."""

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

    Raises:
        ValueError: it is longer, empty, or has no direction.
    """
    if not any(numbers) or len(numbers) > DIMENSIONS:
        raise ValueError(f"A vector has 1 to {DIMENSIONS} numbers, not all of them 0")
    rest = (0.0,) * (DIMENSIONS - len(numbers))
    return Vector(model, (*(round(float(number), DECIMALS) for number in numbers), *rest))
