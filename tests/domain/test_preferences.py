"""Preferences: merge patch and limits."""

from contextlib import AbstractContextManager, nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.domain.errors import InvalidRequest, TooLarge
from shared.domain.preferences import MAX_PREFERENCES_BYTES, NO_ETAG, Preferences, merge_patch
from tests.support.build import NOON

json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda children: (
        st.lists(children, max_size=2)
        | st.dictionaries(st.text("ab", max_size=1), children, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_rfc(
    target: JsonValue, patch: JsonValue, merged: JsonValue
) -> None:
    """The examples of RFC 7396, appendix A."""
    assert merge_patch(target, patch) == merged


@given(json_values, json_values)
def test_merge_patch_is_idempotent(target: JsonValue, patch: JsonValue) -> None:
    """A repeated patch changes nothing more."""
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


def test_a_patch_of_null_resets_to_the_default() -> None:
    """`memory_enabled: null` switches memory on again; `preferences: null` clears them."""
    off = Preferences(preferences={"a": 1}, memory_enabled=False, updated_at=NOON)
    patched = off.patched({"memory_enabled": None, "preferences": None}, NOON)
    assert (patched.memory_enabled, patched.preferences) == (True, {})


@pytest.mark.parametrize("body", [{"other": 1}, {"preferences": []}, {"memory_enabled": 1}])
def test_invalid_preferences_are_refused(body: dict[str, JsonValue]) -> None:
    """Unknown fields and wrong types are refused."""
    with pytest.raises(InvalidRequest):
        Preferences().replaced(body, NOON)


@pytest.mark.parametrize(("extra", "refused"), [(-1, False), (0, False), (1, True)])
def test_preferences_are_limited_to_64_kb_f27(extra: int, refused: bool) -> None:  # noqa: FBT001
    """The limit is exact, and the error names it."""
    body: dict[str, JsonValue] = {
        "preferences": {"a": "x" * (MAX_PREFERENCES_BYTES - len('{"a":""}') + extra)}
    }
    expectation: AbstractContextManager[object] = (
        pytest.raises(TooLarge, match=str(MAX_PREFERENCES_BYTES)) if refused else nullcontext()
    )
    with expectation:
        Preferences().replaced(body, NOON)


def test_the_etag_depends_on_the_content_only() -> None:
    """The same content has the same ETag whenever it was written; empty preferences have ETag 0."""
    first = Preferences().replaced({"preferences": {"a": 1}}, NOON)
    assert (
        first.etag == Preferences().replaced({"preferences": {"a": 1}}, NOON.replace(hour=13)).etag
    )
    assert Preferences().etag == NO_ETAG != first.etag
