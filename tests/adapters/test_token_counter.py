"""Token counts: exact once the tables are loaded, estimated until then."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.language.tokens import TiktokenCounter
from shared.domain.history import select_history
from shared.domain.tokens import estimate_tokens
from tests.support.build import a_turn

loaded = TiktokenCounter()
loaded.load()


def test_counts_match_the_encoding() -> None:
    """Known texts have their known counts."""
    assert [loaded.count(text) for text in ("", "hello world", "Keepsake remembers.")] == [0, 2, 5]


def test_counting_does_not_wait_for_the_tables() -> None:
    """Until the tables are loaded the count is estimated; asking starts the loading."""
    counter = TiktokenCounter()
    assert counter.count("hello world") == estimate_tokens("hello world")
    assert counter._loading is not None
    counter._loading.join(30)
    assert counter.count("hello world") == 2


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_text_is_counted(text: str) -> None:
    """No text is refused, and none has more tokens than bytes."""
    assert 0 <= loaded.count(text) <= len(text.encode())


@pytest.mark.timeout(20)
def test_text_without_spaces_is_counted_quickly() -> None:
    """Letters without spaces would take the encoder alone minutes."""
    letters = "".join(random.Random(7).choices("abcdefghij日本語", k=60_000))  # noqa: S311 - no secret
    assert 0 < loaded.count(letters) <= len(letters.encode())


def test_exact_counts_are_used_near_the_budget_only() -> None:
    """A small history is accepted by its estimate; near the budget the exact count decides."""
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    turns = [a_turn(seq, "x" * 40) for seq in range(1, 5)]
    assert (len(select_history(turns, 8000, count).turns), counted) == (4, [])
    assert len(select_history(turns, 100, count).turns) == 1
    assert counted
