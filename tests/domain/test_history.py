"""History: within its budget in every case, and with a start that moves rarely."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.history import KEPT_TURNS, MAX_WINDOW_TURNS, STEP_TURNS, select_history
from shared.domain.messages import Message
from shared.domain.tokens import estimate_tokens
from shared.domain.turns import Turn, TurnStatus
from tests.support.build import a_message, a_turn


def tokens_of(messages: tuple[Message, ...]) -> int:
    """The estimated tokens of messages."""
    return sum(estimate_tokens(text) for message in messages for text in message.texts if text)


@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=20), st.integers(0, 9000))
def test_the_budget_always_holds(sizes: list[int], budget: int) -> None:
    """However long the newest turn is, the history takes no more than it may."""
    turns = [a_turn(seq, "x" * size) for seq, size in enumerate(sizes, 1)]
    history = select_history(turns, budget)
    assert tokens_of(history.messages) <= budget
    assert list(history.turns) == turns[len(turns) - len(history.turns) :]
    assert history.incomplete or history.turns or budget == 0


def test_a_budget_of_zero_means_no_history() -> None:
    """Not even the newest turn is sent, and that is not a fault."""
    history = select_history([a_turn(1)], 0)
    assert (history.turns, history.incomplete) == ((), False)


def test_a_huge_turn_loses_its_middle() -> None:
    """Its beginning and its end stay, the gap is marked, and the history says so."""
    history = select_history([a_turn(1, f"begin {'x' * 100_000} end")], 500)
    text = history.messages[0].content
    assert (text.startswith("begin"), text.endswith("end"), history.incomplete) == (True,) * 3
    assert "left out" in text


def test_a_refused_turn_is_not_sent_again() -> None:
    """A turn that the provider refused would be refused with everything after it."""
    refused = a_turn(2, "bad", status=TurnStatus.REFUSED, messages=(a_message("bad"),))
    history = select_history([a_turn(1), refused, a_turn(3)], 8000)
    assert [turn.seq for turn in history.turns] == [1, 3]


def _starts(count: int, budget: int, *, consolidates: bool) -> list[int]:
    """The seq at which the history of each turn starts, over so many turns."""
    starts, turns = [], list[Turn]()
    for seq in range(1, count + 1):
        turns.append(a_turn(seq, "x" * 400))
        consolidated = seq // 10 * 10 if consolidates else 0
        history = select_history(turns[-MAX_WINDOW_TURNS:], budget, consolidated_seq=consolidated)
        starts.append(history.turns[0].seq)
    return starts


def test_the_start_moves_with_the_summary() -> None:
    """Between two summaries every prompt begins like the one before it."""
    starts = _starts(60, 8000, consolidates=True)
    moves = [seq for seq, (a, b) in enumerate(itertools.pairwise(starts), 2) if a != b]
    assert moves == [20, 30, 40, 50, 60]
    assert all(seq - start + 1 >= KEPT_TURNS for seq, start in enumerate(starts[9:], 10))


@pytest.mark.parametrize("budget", [1500, 8000], ids=["small", "large"])
def test_without_a_summary_the_start_moves_in_steps(budget: int) -> None:
    """Neither a small budget nor a full window moves it on every turn, but on every fifth."""
    starts = _starts(60, budget, consolidates=False)
    moves = [b - a for a, b in itertools.pairwise(starts) if a != b]
    assert moves
    assert set(moves) == {STEP_TURNS}


def test_a_short_window_is_not_shortened_further() -> None:
    """Where earlier turns have expired, every turn that is left is in the history."""
    history = select_history([a_turn(7), a_turn(8)], 8000)
    assert [turn.seq for turn in history.turns] == [7, 8]
