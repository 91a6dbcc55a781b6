"""Ids: what is one, and that two different ones never meet."""

from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidId
from shared.domain.ids import MAX_ID_BYTES, Gen, SessionId, TurnId, UserId, digest_of

TEAMS = (
    "19:meeting_MjdhNjM4YzUtYzExZi00OTFkLWE5MjItYTZjNDE0MGU1ZTNi@thread.v2;messageid=1700000000000"
)


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_digests_of_different_parts_differ_f34(left: list[str], right: list[str]) -> None:
    """Two lists of parts have one digest only if they are the same list."""
    left, right = [_encodable(part) for part in left], [_encodable(part) for part in right]
    assert (digest_of(*left) == digest_of(*right)) == (left == right)


@pytest.mark.parametrize(
    ("left", "right"), [(("a", "b:c"), ("a:b", "c")), (("a", ""), ("", "a")), (("ab",), ("a", "b"))]
)
def test_a_separator_inside_a_part_joins_no_other_key_f34(
    left: tuple[str, ...], right: tuple[str, ...]
) -> None:
    """Keys joined by a colon collide; digests over length-prefixed parts do not."""
    assert digest_of(*left) != digest_of(*right)


@given(st.text(min_size=1, max_size=300))
def test_a_session_id_is_kept_to_the_letter_or_refused_f29(text: str) -> None:
    """An id is taken as it is, byte for byte, or not at all."""
    try:
        assert SessionId(text).value == text
    except InvalidId:
        return
    assert text.isprintable()
    assert len(text.encode()) <= MAX_ID_BYTES
    assert not set("/\\?#") & set(text)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a" * 201,
        "ä" * 101,
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a\n",
        "a\0",
        "a\u202eb",
        "a\u200b",
        "\ud800",
        ".",
        "..",
    ],
)
def test_an_id_that_would_not_survive_is_refused_f29(bad: str) -> None:
    """Line ends, controls, invisible characters and path pieces are no ids."""
    with pytest.raises(InvalidId, match="turn_id"):
        TurnId(bad)


@pytest.mark.parametrize(
    "good", ["a", "a" * 200, TEAMS, "日本語", "a b", "*", "%2e", "{}", "e\u0301", "👩‍🚀"[:1]]
)
def test_ids_of_channels_are_ids(good: str) -> None:
    """What Teams and people name conversations passes."""
    assert SessionId(good).value == good


@given(st.text(alphabet=ascii_letters + digits + "._~@|-", min_size=1, max_size=128))
def test_a_user_id_of_the_safe_alphabet_is_one(text: str) -> None:
    """Everything of the alphabet is a user id."""
    assert UserId(text).value == text


@pytest.mark.parametrize("bad", ["", "a" * 129, "a\n", "a b", "a:b", "a/b", "ä", "a'", "*", "a{b}"])
def test_a_user_id_beyond_the_alphabet_is_refused_f35(bad: str) -> None:
    """A trailing newline, quotes and wildcards are no user id."""
    with pytest.raises(InvalidId, match="user id"):
        UserId(bad)


@pytest.mark.parametrize("bad", ["", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "'", "0" * 32 + "\n"])
def test_a_gen_cannot_carry_a_quote_f35(bad: str) -> None:
    """A gen is written into patch conditions, so it is hexadecimal or nothing."""
    with pytest.raises(InvalidId):
        Gen(bad)


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()
