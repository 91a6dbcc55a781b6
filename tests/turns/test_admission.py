"""Admission: one user cannot hold up another, and nothing grows without bound (F50)."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Busy
from shared.domain.ids import UserId
from shared.services.turns.admission import Gate, Limits
from tests.support.app import BEN, Keepsake
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio

FLOOD, OTHER = UserId("flood"), UserId("other")
NARROW = Limits(places=2, user_places=1, waiting=30, user_waiting=20, alone=2)


async def pass_through(gate: Gate, user: UserId, order: list[str], *, urgent: bool = False) -> None:
    """Enter, note it, let others run, and leave."""
    async with gate.entered(user, urgent=urgent):
        order.append(user.value + ("!" if urgent else ""))
        await asyncio.sleep(0)


async def test_users_take_turns_f50() -> None:
    """Whoever comes after another user's flood is served next, not last."""
    gate, order = Gate(Limits(places=1, user_places=1, waiting=99, user_waiting=99)), list[str]()
    flood = [asyncio.create_task(pass_through(gate, FLOOD, order)) for _ in range(20)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(pass_through(gate, OTHER, order)) for _ in range(3)]
    await asyncio.gather(*flood, *others)
    assert order.index("other") <= 4
    assert [user for user in order if user == "other"] == ["other"] * 3
    assert len(order) - order[::-1].index("other") <= 9


async def test_what_is_paid_for_goes_first_f50() -> None:
    """Among one user's turns, those that have their reply are finished before others begin."""
    gate, order = Gate(Limits(places=1, user_places=1, waiting=99, user_waiting=99)), list[str]()
    tasks = [asyncio.create_task(pass_through(gate, FLOOD, order)) for _ in range(5)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(pass_through(gate, FLOOD, order, urgent=True)))
    await asyncio.gather(*tasks)
    assert order.index("flood!") <= 3


async def test_a_user_alone_takes_more_places_f50() -> None:
    """But only until another user comes."""
    gate = Gate(NARROW)
    async with gate.entered(FLOOD), gate.entered(FLOOD):
        waiting = asyncio.create_task(pass_through(gate, OTHER, []))
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting
    async with gate.entered(FLOOD):
        second = asyncio.create_task(pass_through(gate, FLOOD, []))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not second.done()
    await second


async def test_those_who_would_wait_too_long_are_refused_at_once_f50() -> None:
    """503 with Retry-After, for one user and for all together."""
    gate = Gate(NARROW)
    async with gate.entered(FLOOD), gate.entered(FLOOD):
        waiting = [asyncio.create_task(pass_through(gate, FLOOD, [])) for _ in range(20)]
        await asyncio.sleep(0)
        with pytest.raises(Busy) as refused:
            await pass_through(gate, FLOOD, [])
        assert (refused.value.retry_after or 0) >= 1
        waiting += [asyncio.create_task(pass_through(gate, OTHER, [])) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await pass_through(gate, UserId("third"), [])
    await asyncio.gather(*waiting)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 6)), max_size=40),
    st.lists(st.integers(0, 39), max_size=20),
)
async def test_no_place_is_lost_f50(
    arrivals: Sequence[tuple[str, bool, int]], cancelled: Sequence[int]
) -> None:
    """However turns come, end and are cancelled, every place is free in the end."""
    gate, most = Gate(Limits(places=3, user_places=2, waiting=99, user_waiting=99)), 0
    inside = 0

    async def visit(user: str, urgent: bool, ticks: int) -> None:  # noqa: FBT001
        nonlocal inside, most
        async with gate.entered(UserId(user), urgent=urgent):
            inside += 1
            most = max(most, inside)
            try:
                for _ in range(ticks):
                    await asyncio.sleep(0)
            finally:
                inside -= 1

    tasks = []
    for number, arrival in enumerate(arrivals):
        tasks.append(asyncio.create_task(visit(*arrival)))
        await asyncio.sleep(0)
        if number in cancelled:
            tasks[number // 2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (inside, most <= 3) == (0, True)
    async with asyncio.timeout(5):
        async with gate.entered(UserId("x")), gate.entered(UserId("y")), gate.entered(UserId("z")):
            pass


async def test_a_user_who_comes_again_as_a_waiter_leaves_loses_no_place_f50() -> None:
    """The line of the one who left is not that of the one who came."""
    gate = Gate(Limits(places=1, user_places=1, waiting=9, user_waiting=9))
    async with gate.entered(OTHER):
        leaving = asyncio.create_task(pass_through(gate, FLOOD, []))
        await asyncio.sleep(0)
        leaving.cancel()
    coming = asyncio.create_task(pass_through(gate, FLOOD, []))
    await asyncio.gather(leaving, coming, return_exceptions=True)
    assert not coming.exception()
    async with asyncio.timeout(1), gate.entered(FLOOD):
        pass


async def test_turns_without_their_caller_are_bounded_f50(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """A ninth one is refused before anything is paid for, and other users are not affected."""
    for _ in range(8):
        model.slow_next(3)
    headers = {"x-request-deadline-ms": "1"}
    async with keepsake.client() as client:

        async def leave_early(number: int) -> int:
            body = {"message": "Hello", "session_id": "s", "turn_id": f"t{number}"}
            return (await client.post("/chat", json=body, headers=headers)).status_code

        first = [await leave_early(number) for number in range(8)]
        with suppress(TimeoutError):
            await model.wait_for_requests(8)
        more = [await leave_early(number) for number in range(8, 40)]
    assert set(first) <= {409, 503}
    assert set(more) == {503}
    assert len(model.requests) == first.count(409)
    assert (await keepsake.chat("Hello", user=BEN)).status_code == 200


async def test_a_burst_of_one_user_is_served_beside_another_f50(keepsake: Keepsake) -> None:
    """Another user's turn is answered in the midst of the burst, not behind it."""
    done: list[str] = []

    async def take(user: str, number: int) -> int:
        answer = await keepsake.chat("Hello", session_id=f"s{number}", user=user)
        done.append(user)
        return answer.status_code

    burst = [asyncio.create_task(take("ada", number)) for number in range(120)]
    while not done:  # noqa: ASYNC110 - the burst has no event
        await asyncio.sleep(0)
    statuses = await asyncio.gather(take(BEN, 0), *burst)
    assert set(statuses) == {200}
    assert done.index(BEN) < 60
