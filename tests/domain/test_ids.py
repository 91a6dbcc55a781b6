"""Ids: which strings are valid, and that different ids never collide."""

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
    """Two lists of parts have the same digest only if they are equal."""
    left, right = [_encodable(part) for part in left], [_encodable(part) for part in right]
    assert (digest_of(*left) == digest_of(*right)) == (left == right)


@pytest.mark.parametrize(
    ("left", "right"), [(("a", "b:c"), ("a:b", "c")), (("a", ""), ("", "a")), (("ab",), ("a", "b"))]
)
def test_separators_inside_parts_do_not_collide_f34(
    left: tuple[str, ...], right: tuple[str, ...]
) -> None:
    """Keys joined by a colon would collide; digests over length-prefixed parts do not."""
    assert digest_of(*left) != digest_of(*right)


@given(st.text(min_size=1, max_size=300))
def test_a_session_id_is_kept_unchanged_or_refused_f29(text: str) -> None:
    """An id is used unchanged, byte for byte, or refused."""
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
def test_an_unsafe_id_is_refused_f29(bad: str) -> None:
    """Line breaks, control and invisible characters, and path segments are invalid."""
    with pytest.raises(InvalidId, match="turn_id"):
        TurnId(bad)


@pytest.mark.parametrize(
    "good", ["a", "a" * 200, TEAMS, "日本語", "a b", "*", "%2e", "{}", "e\u0301", "👩‍🚀"[:1]]
)
def test_ids_of_channels_are_valid(good: str) -> None:
    """The ids that Teams and people choose for conversations are valid."""
    assert SessionId(good).value == good


@given(st.text(alphabet=ascii_letters + digits + "._~@|-", min_size=1, max_size=128))
def test_a_user_id_of_allowed_characters_is_valid(text: str) -> None:
    """Every string of the allowed characters is a user id."""
    assert UserId(text).value == text


@pytest.mark.parametrize("bad", ["", "a" * 129, "a\n", "a b", "a/b", "ä", "*", "a{b}"])
def test_a_user_id_with_other_characters_is_refused_f35(bad: str) -> None:
    """A trailing newline, quotes and wildcards are invalid."""
    with pytest.raises(InvalidId, match="user id"):
        UserId(bad)


@pytest.mark.parametrize("bad", ["", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "'", "0" * 32 + "\n"])
def test_a_generation_cannot_contain_a_quote_f35(bad: str) -> None:
    """A generation is written into patch conditions, so it must be hexadecimal."""
    with pytest.raises(InvalidId):
        Gen(bad)


def _encodable(text: str) -> str:
    return text.encode(errors="replace").decode()
