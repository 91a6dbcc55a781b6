"""Turns: the window they make, and what makes two of them the same."""

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.cosmos.items import turn_item
from shared.domain.history import MAX_WINDOW_BYTES, MAX_WINDOW_TURNS, fit_window, newest_run
from shared.domain.recall.search_text import search_text
from shared.domain.turns import MAX_REPLY_BYTES, MAX_TURN_BYTES, body_hash
from tests.support.build import ADA, a_message, a_result, a_turn

COSMOS_ITEM_BYTES = 2 * 1024 * 1024


@given(st.sets(st.integers(1, 30)), st.integers(1, 30))
def test_a_window_is_an_unbroken_run_up_to_the_count(seqs: set[int], upto: int) -> None:
    """Whatever turns a query returns, the window has no gap and ends where the header says."""
    run = [turn.seq for turn in newest_run([a_turn(seq) for seq in seqs], upto=upto)]
    assert run == list(range(upto - len(run) + 1, upto + 1))
    assert upto - len(run) not in seqs


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=30))
def test_a_window_has_twenty_turns_and_64_kb_but_always_the_newest(sizes: list[int]) -> None:
    """The window is bounded however large or many the turns are."""
    turns = [a_turn(seq, messages=(a_message("x" * size),)) for seq, size in enumerate(sizes, 1)]
    kept = fit_window(turns)
    assert kept[-1] == turns[-1]
    assert len(kept) <= MAX_WINDOW_TURNS
    assert len(kept) == 1 or sum(turn.size for turn in kept) <= MAX_WINDOW_BYTES


@given(st.text(alphabet='aä日🙂\u0001"\\', max_size=50))
def test_no_turn_comes_near_the_limit_of_an_item_f28(text: str) -> None:
    """The largest turn, of whatever characters, is far below 2 MB as an item."""
    unit = text or "x"
    largest = (
        (unit * (MAX_TURN_BYTES // len(unit.encode()) + 1))
        .encode()[:MAX_TURN_BYTES]
        .decode(errors="ignore")
    )
    said = (a_message(largest),)
    item = turn_item(ADA, a_turn(messages=said, text=search_text(said)))
    assert len(json.dumps(item, ensure_ascii=False).encode()) < COSMOS_ITEM_BYTES


def test_a_reply_leaves_room_for_its_question_f28() -> None:
    """Message, instructions and the largest reply together are within a turn."""
    assert MAX_REPLY_BYTES + 2 * 32_768 <= MAX_TURN_BYTES


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers()))
def test_a_body_is_the_same_whatever_the_order_of_its_keys(
    body: dict[str, str | int | None],
) -> None:
    """Order and absent fields do not make a resend another turn."""
    printable = {key.encode(errors="replace").decode(): value for key, value in body.items()}
    printable = {
        k: v.encode(errors="replace").decode() if isinstance(v, str) else v
        for k, v in printable.items()
    }
    backwards = dict(reversed(printable.items()))
    assert (
        body_hash(printable)
        == body_hash(backwards)
        == body_hash(printable | {"\ue000absent": None})
    )


def test_bodies_that_differ_hash_differently() -> None:
    """Another message is another body."""
    assert body_hash({"message": "a"}) != body_hash({"message": "b"})


def test_the_searched_text_names_date_and_speaker() -> None:
    """A turn is found by when and by whom it was said."""
    said = [a_message("I moved to Oslo", name="Ada"), a_message("y" * 600, role="assistant")]
    assert search_text(said) == f"[8 May 2026] Ada: I moved to Oslo\nassistant: {'y' * 500}"


def test_the_searched_text_is_what_the_user_asked() -> None:
    """Whatever was said before it: instructions and tools' results are no question."""
    said = [
        a_message("You are kind", role="system"),
        a_result(),
        a_message("Where is Oslo?"),
        a_message("And Bergen?"),
    ]
    assert search_text(said) == "[8 May 2026] user: Where is Oslo?"
    assert search_text(said[:1]) == "[8 May 2026] system: You are kind"
