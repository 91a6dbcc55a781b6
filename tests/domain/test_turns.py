"""Turns: the window, the limits, and what identifies a turn."""

import json
from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.cosmos.items import turn_item
from shared.domain.history import MAX_WINDOW_BYTES, MAX_WINDOW_TURNS, fit_window, newest_run
from shared.domain.recall.search_text import search_text
from shared.domain.turns import MAX_REPLY_BYTES, MAX_TURN_BYTES, body_hash
from tests.support.build import ADA, a_message, a_result, a_turn

COSMOS_ITEM_BYTES = 2 * 1024 * 1024


@given(st.sets(st.integers(1, 30)), st.integers(1, 30))
def test_a_window_is_a_gapless_run_up_to_the_count(seqs: set[int], upto: int) -> None:
    """Whatever turns a query returns, the window has no gap and ends at the header's count."""
    run = [turn.seq for turn in newest_run([a_turn(seq) for seq in seqs], upto=upto)]
    assert run == list(range(upto - len(run) + 1, upto + 1))
    assert upto - len(run) not in seqs


@given(st.lists(st.integers(0, 40_000), min_size=1, max_size=30))
def test_a_window_has_20_turns_and_64_kb_but_always_the_newest(sizes: list[int]) -> None:
    """The window is bounded, however large or many the turns are."""
    turns = [a_turn(seq, messages=(a_message("x" * size),)) for seq, size in enumerate(sizes, 1)]
    kept = fit_window(turns)
    assert kept[-1] == turns[-1]
    assert len(kept) <= MAX_WINDOW_TURNS
    assert len(kept) == 1 or sum(turn.size for turn in kept) <= MAX_WINDOW_BYTES


@given(st.text(alphabet='aä日🙂\u0001"\\', max_size=50))
def test_no_turn_comes_near_the_item_limit_f28(text: str) -> None:
    """The largest turn, of any characters, is far below 2 MB as an item."""
    unit = text or "x"
    largest = (
        (unit * (MAX_TURN_BYTES // len(unit.encode()) + 1))
        .encode()[:MAX_TURN_BYTES]
        .decode(errors="ignore")
    )
    messages = (a_message(largest),)
    item = turn_item(ADA, a_turn(messages=messages, text=search_text(messages, UTC)))
    assert len(json.dumps(item, ensure_ascii=False).encode()) < COSMOS_ITEM_BYTES


def test_a_reply_leaves_room_for_its_question_f28() -> None:
    """Message, instructions and the largest reply together fit into a turn."""
    assert MAX_REPLY_BYTES + 2 * 32_768 <= MAX_TURN_BYTES


@given(st.dictionaries(st.text(), st.none() | st.text() | st.integers()))
def test_a_body_hash_ignores_the_order_of_keys(
    body: dict[str, str | int | None],
) -> None:
    """The order of keys and absent fields do not make a resend a different turn."""
    printable = {key.encode(errors="replace").decode(): value for key, value in body.items()}
    printable = {
        k: v.encode(errors="replace").decode() if isinstance(v, str) else v
        for k, v in printable.items()
    }
    reordered = dict(reversed(printable.items()))
    assert (
        body_hash(printable)
        == body_hash(reordered)
        == body_hash(printable | {"\ue000absent": None})
    )


def test_different_bodies_have_different_hashes() -> None:
    """A different message is a different body."""
    assert body_hash({"message": "a"}) != body_hash({"message": "b"})


def test_the_search_text_names_date_and_speaker() -> None:
    """A turn can be found by its date and its speaker."""
    messages = [a_message("I moved to Oslo", name="Ada"), a_message("y" * 600, role="assistant")]
    assert (
        search_text(messages, UTC) == f"[8 May 2026] Ada: I moved to Oslo\nassistant: {'y' * 500}"
    )


def test_the_search_text_is_the_users_question() -> None:
    """Instructions and tool results before the question are left out."""
    messages = [
        a_message("You are kind", role="system"),
        a_result(),
        a_message("Where is Oslo?"),
        a_message("And Bergen?"),
    ]
    assert search_text(messages, UTC) == "[8 May 2026] user: Where is Oslo?"
    assert search_text(messages[:1], UTC) == "[8 May 2026] system: You are kind"
