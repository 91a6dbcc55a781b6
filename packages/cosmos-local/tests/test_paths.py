"""Paths of policies, resource ids, packed vectors: the small encodings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_local.errors import Refusal
from cosmos_local.keys import KeyDefinition, parse_path
from cosmos_local.packing import numbers_of, pack, unpack_text
from cosmos_local.rids import container_rid, database_rid, document_rid, row_of


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a", ("a",)),
        ("/a/b/?", ("a", "b", "?")),
        ('/"a b"/c', ("a b", "c")),
        ('/a/"b/c"', ("a", "b/c")),
        ("/'a'/'b'/*", ("a", "b", "*")),
        ('/"_etag"/?', ("_etag", "?")),
        ("/", ()),
    ],
)
def test_a_path_is_split_into_names(text: str, path: tuple[str, ...]) -> None:
    """Names are between slashes, or in quotes where they have one."""
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["a", "", "a/b", "//", "/a//b", '/"a', "/'a\"", '/""', '/"a"b'])
def test_a_path_that_is_none_is_refused(text: str) -> None:
    """A missing slash, an empty name or an open quote is an error."""
    with pytest.raises(Refusal) as refused:
        parse_path(text)
    assert refused.value.status == 400


@given(count=st.integers(1, 16), version=st.sampled_from([1, 2]), value=st.text(max_size=20))
def test_every_key_has_one_range(count: int, version: int, value: str) -> None:
    """The ranges of a container cover all hashes, and do not overlap."""
    key = KeyDefinition((("pk",),), "Hash", version, count)
    place = key.hash([value])
    assert sum(low <= place < high for low, high in key.ranges) == 1
    assert [high for _, high in key.ranges[:-1]] == [low for low, _ in key.ranges[1:]]
    assert (key.ranges[0][0], key.ranges[-1][1]) == ("", "FF")


@given(database=st.integers(1, 1000), container=st.integers(1, 1000), row=st.integers(1, 2**62))
def test_a_resource_id_is_read_back(database: int, container: int, row: int) -> None:
    """A document's row is in its id, which starts with its container's."""
    owner = container_rid(database_rid(database), container)
    assert row_of(document_rid(owner, row)) == row
    assert document_rid(owner, row)[:10] == owner[:10]
    assert "/" not in document_rid(owner, row)


@pytest.mark.parametrize("rid", ["", "x", "not base64!", "é"])
def test_what_is_no_resource_id_has_no_row(rid: str) -> None:
    """Other texts are never taken for a row that exists."""
    assert not row_of(rid)


NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1, 1).map(lambda number: round(number, 6)),
)


@given(vector=st.lists(NUMBERS, max_size=8), other=st.one_of(st.none(), st.text(max_size=3)))
def test_packed_vectors_are_read_back(vector: list[float], other: object) -> None:
    """Numbers survive packing exactly, and so does what is no vector."""
    packed = pack({"v": vector, "é": other})
    assert json.loads("{" + unpack_text(packed) + "}") == {"v": vector, "é": other}
    assert (numbers_of(packed, "v") is None) == (not vector)
    assert numbers_of(packed, "é") is None
    assert numbers_of(packed, "missing") is None
