"""Bisection: whatever is refused, it is found within its calls, and nothing else is blamed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.services.consolidation.bisection import Bisection

pytestmark = pytest.mark.anyio


async def search(items: Sequence[int], refused: set[int], calls: int) -> tuple[Bisection[int], int]:
    """A finished search, and how often it asked."""
    asked = 0

    async def accepts(some: Sequence[int]) -> bool:
        nonlocal asked
        asked += 1
        return not refused & set(some)

    bisection = Bisection(accepts, calls)
    await bisection.search(items)
    return bisection, asked


@given(size=st.integers(1, 32), place=st.integers(0, 31))
async def test_one_culprit_among_32_is_found_in_six_calls_f48(size: int, place: int) -> None:
    """Whichever it is; the others are cleared, or are so in a second search."""
    culprit = place % size
    found, asked = await search(range(size), {culprit}, 6)
    assert (found.culprits, asked <= 6) == ([culprit], True)
    left = [item for item in range(size) if item not in found.tested]
    again, _ = await search(left, {culprit}, 6)
    assert {*found.tested, *again.tested} == set(range(size))


@given(size=st.integers(0, 60), refused=st.sets(st.integers(0, 59)), calls=st.integers(0, 12))
async def test_no_accepted_text_is_blamed_f48(size: int, refused: set[int], calls: int) -> None:
    """Also if nothing is refused any more: culprits are refused, and tested ones are known."""
    refused &= set(range(size))
    found, asked = await search(range(size), refused, calls)
    assert asked <= calls
    assert set(found.culprits) <= refused
    assert set(found.tested) & refused == set(found.culprits)


@given(size=st.integers(1, 40), refused=st.sets(st.integers(0, 39)))
async def test_searches_end_with_everything_known_f48(size: int, refused: set[int]) -> None:
    """Each search makes progress, so a few of them suffice."""
    left, culprits = list(range(size)), set()
    for _ in range(4 * size):
        found, _asked = await search(left, refused, 6)
        culprits |= set(found.culprits)
        left = [item for item in left if item not in found.tested]
    assert (left, culprits) == ([], refused & set(range(size)))
