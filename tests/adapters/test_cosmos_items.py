"""Cosmos DB items: time to live and timestamps."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.cosmos.times import read_time, ttl_until, write_time
from tests.support.build import NOON

TIMES = st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(st.timedeltas(timedelta(seconds=-5), timedelta(days=3650)))
def test_a_time_to_live_is_never_too_short(remaining: timedelta) -> None:
    """Cosmos DB counts whole seconds: fractions are rounded up, and the minimum is one second."""
    ttl = ttl_until(NOON + remaining, NOON)
    assert ttl == 1 or 0 <= ttl - remaining.total_seconds() < 1


@given(TIMES, TIMES)
def test_timestamps_sort_as_text_and_round_trip(one: datetime, other: datetime) -> None:
    """Queries compare timestamps as text."""
    assert (write_time(one) < write_time(other)) == (one < other)
    assert read_time(write_time(one)) == one
