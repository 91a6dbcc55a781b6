"""What is stored lives to its end, and no whole second less."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.cosmos.items import read_time, ttl_until, write_time
from tests.support.build import NOON

TIMES = st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(st.timedeltas(timedelta(seconds=-5), timedelta(days=3650)))
def test_a_time_to_live_ends_no_earlier_than_it_should(left: timedelta) -> None:
    """Cosmos DB counts whole seconds: a part of one is counted as one, and what is over lives for one more."""
    ttl = ttl_until(NOON + left, NOON)
    assert ttl == 1 or 0 <= ttl - left.total_seconds() < 1


@given(TIMES, TIMES)
def test_times_sort_as_their_texts_do_and_come_back(one: datetime, other: datetime) -> None:
    """Queries compare texts."""
    assert (write_time(one) < write_time(other)) == (one < other)
    assert read_time(write_time(one)) == one
