"""Bisection: whatever is refused, it is found within its calls, and nothing else is blamed."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.services.consolidation.bisection import Bisection

pytestmark = pytest.mark.anyio


async def search(
    items: Sequence[int], refused: set[int], calls: int, *, is_proven: bool
) -> tuple[Bisection[int], int]:
    """A finished search, and how often it asked."""
    asked = 0

    async def accepts(some: Sequence[int]) -> bool:
        nonlocal asked
        asked += 1
        return not refused & set(some)

    bisection = Bisection(accepts, calls)
    await bisection.search(items, is_proven=is_proven)
    return bisection, asked


@given(size=st.integers(1, 32), place=st.integers(0, 31))
async def test_one_culprit_among_32_is_found_in_six_calls_f48(size: int, place: int) -> None:
    """And all the others are cleared."""
    culprit = place % size
    found, asked = await search(range(size), {culprit}, 6, is_proven=True)
    assert (found.culprits, set(found.tested)) == ([culprit], set(range(size)))
    assert asked <= 6


@given(
    size=st.integers(0, 60),
    refused=st.sets(st.integers(0, 59)),
    calls=st.integers(0, 12),
    is_proven=st.booleans(),
)
async def test_no_accepted_text_is_blamed_f48(
    size: int, refused: set[int], calls: int, *, is_proven: bool
) -> None:
    """Whatever the calls suffice for: culprits are refused, and tested ones are known."""
    refused &= set(range(size))
    found, asked = await search(range(size), refused, calls, is_proven=is_proven and bool(refused))
    assert asked <= calls
    assert set(found.culprits) <= refused
    assert set(found.tested) & refused == set(found.culprits)


async def test_all_culprits_are_found_with_enough_calls_f48() -> None:
    """The search goes on with what is still unknown."""
    found, _ = await search(range(40), {3, 17, 18, 39}, 100, is_proven=True)
    assert (set(found.culprits), set(found.tested)) == ({3, 17, 18, 39}, set(range(40)))
