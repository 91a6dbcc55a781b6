"""Strict JSON: what the parser refuses, and that it raises nothing else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.strict_json import MAX_DEPTH, parse


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a": 1, "a": 2}', "twice"),
        (b"[NaN]", "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b"[1e999]", "too large"),
        (b"[9007199254740993]", "2\\^53"),
        (b"[" + b"1" * 5000 + b"]", "too large"),
        (b"[" * 33 + b"]" * 33, "deeper"),
        (b"[" * 100_000, "deeper"),
        (b'{"a":' * 50_000, "deeper"),
        (b'["\\u0000"]', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'["\\ud800"]', "surrogate"),
        (b"\xff", "UTF-8"),
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"[1] 2", "Extra data"),
    ],
)
def test_lossy_or_hostile_json_is_refused_f30(raw: bytes, reason: str) -> None:
    """Duplicate keys, NaN, inexact numbers, deep nesting, NUL and surrogates each have a reason."""
    with pytest.raises(json.JSONDecodeError, match=reason):
        parse(raw)


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_raise_one_error_f30(raw: bytes) -> None:
    """Any bytes parse, or raise the one error type."""
    try:
        parse(raw)
    except json.JSONDecodeError:
        return


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        lambda children: st.lists(children) | st.dictionaries(st.text("abc"), children),
        max_leaves=20,
    )
)
def test_every_other_value_is_preserved_f29(value: object) -> None:
    """Text in any script, and every number that a double can hold, is unchanged."""
    assert parse(json.dumps(value).encode()) == value


def test_nesting_up_to_the_limit_is_allowed_f30() -> None:
    """The maximum depth itself is allowed."""
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.parametrize(
    ("raw", "value"), [(b"1.0", 1), (b"-0.0", 0), (b"1e3", 1000), (b"1.5", 1.5), (b"1e300", 1e300)]
)
def test_whole_numbers_are_normalised(raw: bytes, value: float) -> None:
    """Stores differ in whether they return 1.0 or 1; ETags and hashes of bodies must not."""
    parsed = parse(b"[" + raw + b"]")
    assert (parsed, type(parsed[0])) == ([value], type(value))
