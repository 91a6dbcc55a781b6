"""Token counts: exact when the tables are there, never waited for."""

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


def test_counts_are_those_of_the_encoding() -> None:
    """Known texts have their known counts."""
    assert [loaded.count(text) for text in ("", "hello world", "Keepsake remembers.")] == [0, 2, 5]


def test_nobody_waits_for_the_tables() -> None:
    """Until they are loaded a count is the estimate; asking begins the loading."""
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
def test_a_text_without_blanks_is_counted_too() -> None:
    """Letters without a blank, which the encoder alone would take minutes for, hold nothing up."""
    letters = "".join(random.Random(7).choices("abcdefghij日本語", k=60_000))  # noqa: S311 - no secret
    assert 0 < loaded.count(letters) <= len(letters.encode())


def test_far_from_the_limit_nothing_is_counted_exactly() -> None:
    """A small history is taken by its estimate; near the budget the exact count decides."""
    asked: list[str] = []

    def count(text: str) -> int:
        asked.append(text)
        return len(text)

    turns = [a_turn(seq, "x" * 40) for seq in range(1, 5)]
    assert (len(select_history(turns, 8000, count)), asked) == (4, [])
    assert len(select_history(turns, 100, count)) == 1
    assert asked
