"""Vectors: of the container's dimensions, in the direction that the model gave."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.vectors import DECIMALS, DIMENSIONS, make_vector

ONES = st.floats(-1, 1, allow_subnormal=False)
NUMBERS = st.lists(ONES, min_size=1, max_size=24).filter(
    lambda numbers: any(abs(number) > 0.01 for number in numbers)
)


def cosine(one: tuple[float, ...] | list[float], other: tuple[float, ...] | list[float]) -> float:
    """The similarity that the store orders by."""
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / (math.hypot(*one) * math.hypot(*other))


@given(NUMBERS)
def test_a_vector_has_the_containers_dimensions(numbers: list[float]) -> None:
    """Missing dimensions are zero."""
    vector = make_vector("m", numbers)
    assert (vector.model, len(vector.numbers)) == ("m", DIMENSIONS)
    assert not any(vector.numbers[len(numbers) :])


@given(st.data())
def test_scaling_and_padding_do_not_change_similarity(data: st.DataObject) -> None:
    """Similarities equal those of the model's own numbers, whatever their scale."""
    one = data.draw(NUMBERS)
    other = data.draw(
        st.lists(ONES, min_size=len(one), max_size=len(one)).filter(
            lambda it: math.hypot(*it) > 0.01
        )
    )
    scale = data.draw(st.sampled_from([1e-12, 1e-3, 1.0, 1e9, 1e200]))
    stored = [
        make_vector("m", [scale * number for number in numbers]).numbers for numbers in (one, other)
    ]
    assert cosine(*stored) == pytest.approx(cosine(one, other), abs=1e-4)


@given(NUMBERS)
def test_numbers_are_rounded(numbers: list[float]) -> None:
    """More digits than the index keeps would only be sent and paid for."""
    stored = make_vector("m", numbers).numbers
    assert max(len(json.dumps(number)) for number in stored) <= len("-0.") + DECIMALS


@given(NUMBERS)
def test_normalising_is_idempotent(numbers: list[float]) -> None:
    """A stored vector is nearly the same when it is normalised again."""
    once = make_vector("m", numbers).numbers
    assert make_vector("m", once).numbers == pytest.approx(once, abs=2 * 10**-DECIMALS)


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [0.0] * 3,
        [0.1] * (DIMENSIONS + 1),
        [math.nan, 1.0],
        [math.inf],
        [-math.inf, 1.0],
        [1e308] * 4,
    ],
    ids=["none", "zeros", "too many", "nan", "inf", "-inf", "overflow"],
)
def test_numbers_without_a_direction_are_refused(numbers: list[float]) -> None:
    """Such a vector would be similar to nothing, or to everything."""
    with pytest.raises(ValueError, match="A vector has"):
        make_vector("m", numbers)
