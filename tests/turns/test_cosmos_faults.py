"""Faults of Cosmos DB: every turn is stored once or not at all, and the error is retryable."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cosmos_local import Fault, LocalCosmos
from cosmos_local.wire import WireRequest
from tests.conftest import ROOT, Rows, Start
from tests.support.app import ADA, BEN, PATIENT, Keepsake, running
from tests.support.faulty import BatchCounter, PageTransport
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

KINDS = ["read", "query", "batch"]
SHORT = replace(PATIENT, turn=4, commit=2, last_look=1)  # seconds: of a turn that cannot commit


@pytest.mark.parametrize("deadlines", [SHORT])
@pytest.mark.parametrize("status", [500, 503, 410, 408])
@pytest.mark.parametrize("kind", KINDS)
async def test_while_cosmos_fails_turns_are_503_and_not_half_written_f9(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    cosmos_rows: Rows,
    redis: RedisServer,
    kind: str,
    status: int,
) -> None:
    """While Cosmos DB fails it is 503 with Retry-After; the resend then stores the one turn."""
    await keepsake.chat("First")
    redis.reset()  # a query is then needed in both modes
    cosmos.faults.add(Fault(status=status, kind=kind, times=1000))
    failed = await keepsake.chat("Hello", turn_id="t")
    cosmos.faults.clear()
    assert (failed.status_code, failed.headers["Retry-After"] >= "1") == (503, True)
    assert len(cosmos_rows("turn")) == 1
    assert (await keepsake.chat("Hello", turn_id="t")).json()["seq"] == 2


@pytest.mark.parametrize("status", [500, 503, 408, 449])
async def test_a_batch_that_fails_once_is_retried_f9(
    keepsake: Keepsake, cosmos: LocalCosmos, status: int
) -> None:
    """A single failure of the commit is invisible to the caller."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=status, kind="batch"))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["seq"]) == (200, 2)


async def test_a_batch_that_loses_races_is_repeated_until_it_applies_f10(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """449, a concurrent write of the document, is a lost race and not a failure of the store."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=449, kind="batch", times=4))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["seq"], cosmos.faults.hits()) == (200, 2, 4)


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"\xff"])
async def test_a_response_that_is_a_web_page_is_503_f9(
    cosmos: LocalCosmos, model: ModelServer, page: bytes
) -> None:
    """A proxy that responds instead of Cosmos DB counts as Cosmos DB being unavailable."""
    async with running(cosmos, model, wrap=lambda inner: PageTransport(inner, page)) as app:
        answer = await app.chat("Hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


async def test_reads_send_a_session_token_under_session_consistency(
    model: ModelServer,
) -> None:
    """The client learns the account's consistency, or else it would send no session tokens."""
    cosmos = LocalCosmos.open(None, ROOT / "infra" / "containers.json", consistency="Session")
    tokens: list[str | None] = []
    cosmos.faults.add(Fault(kind="read", match=lambda request: _note_token(tokens, request)))
    async with running(cosmos, model) as app:
        for text in ("One", "Two"):
            await app.chat(text)
    cosmos.close()
    assert tokens[-1]


async def test_throttling_is_retried_then_503_with_retry_after_f8(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Short throttling is absorbed; long throttling is 503 `busy`."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=429, retry_after_ms=10, times=2))
    assert (await keepsake.chat("Second")).status_code == 200
    cosmos.faults.add(Fault(status=429, retry_after_ms=7000, times=1000))
    answer = await keepsake.chat("Third")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert answer.headers["Retry-After"] == "7"


async def test_fifty_concurrent_turns_of_one_session_are_stored_f10(
    keepsake: Keepsake, cosmos_rows: Rows
) -> None:
    """Lost races are repeated until the deadline, so all fifty concurrent turns are stored."""
    answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(row["seq"] for row in cosmos_rows("turn")) == list(range(1, 51))


async def test_concurrent_turns_in_one_worker_lose_few_races_f10(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Turns wait for each other within a worker, and know the last committed seq."""
    counter = BatchCounter()
    async with running(cosmos, model, wrap=counter.wrap) as app:
        await app.chat("First")
        before = counter.batches
        await asyncio.gather(*(app.chat(f"Message {n}") for n in range(20)))
        assert counter.batches - before == 20


async def test_a_turn_overtaken_in_its_worker_loses_no_race_f10(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """What a turn read may be old when it commits: the worker knows what it committed since."""
    counter = BatchCounter()
    async with running(cosmos, model, wrap=counter.wrap) as app:
        await app.chat("First")
        before = counter.batches
        model.slow_next(1)
        slow = asyncio.create_task(app.chat("Slow"))
        await model.wait_for_requests(2)
        await app.chat("Fast")
        await slow
        assert counter.batches - before == 2


async def test_an_applied_create_is_found_by_its_retry_f11(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """If the commit was applied and its response lost, the repeated batch finds the turn."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=500, kind="batch", applied=True))
    answer = await keepsake.chat("Hello", turn_id="t")
    assert (answer.status_code, answer.json()["seq"]) == (200, 2)
    assert len(await keepsake.transcript()) == 2


async def test_concurrent_bodies_under_one_turn_id_conflict_f11(
    keepsake: Keepsake,
) -> None:
    """Two bodies race under one turn id: one is stored, the other gets 409."""
    answers = await asyncio.gather(
        *(keepsake.chat(text, turn_id="t") for text in ("Hello", "Goodbye"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await keepsake.transcript()) == 1


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("kind", ["batch", "create", "read"])
async def test_a_hanging_cosmos_times_out_and_nothing_is_stored_twice_f12(
    start: Start,
    cosmos: LocalCosmos,
    kind: str,
    applied: bool,  # noqa: FBT001
) -> None:
    """A write without a response may have been applied; the resend finds out and stores it once."""
    async with start(replace(PATIENT, cosmos_call=0.2)) as impatient:
        cosmos.faults.add(Fault(kind=kind, hang=True, applied=applied, times=3))
        await impatient.chat("Hello", turn_id="t")
        cosmos.faults.clear()
    async with start() as keepsake:
        answer = await keepsake.chat("Hello", turn_id="t")
        assert (answer.status_code, answer.json()["seq"]) == (200, 1)
        assert len(await keepsake.transcript()) == 1


async def test_one_hanging_commit_says_nothing_about_the_others(
    start: Start, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Turns that wait for it are stored once it is given up, and so is the one that hung."""
    async with start(replace(PATIENT, cosmos_call=0.5)) as keepsake:
        await keepsake.chat("First")
        cosmos.faults.add(Fault(kind="batch", hang=True))
        answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(model.requests) == 6


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, kind="batch", retry_after_ms=1200),
        Fault(status=429, kind="batch", retry_after_ms=500, times=6),
        Fault(status=503, kind="batch", times=6),
        Fault(status=408, kind="batch", times=6),
        Fault(kind="batch", times=6),
    ],
    ids=["a long 429", "six 429", "six 503", "six 408", "six dropped"],
)
async def test_a_reply_is_committed_however_long_the_store_takes_f52(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, fault: Fault
) -> None:
    """The model is paid for once: the commit is tried until the turn's deadline."""
    await keepsake.chat("First")
    cosmos.faults.add(fault)
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["replayed"]) == (200, False)
    assert (len(model.requests), len(await keepsake.transcript())) == (2, 2)


@pytest.mark.parametrize("hang", [False, True])
async def test_a_commit_without_a_response_is_looked_up_f52(
    start: Start,
    cosmos: LocalCosmos,
    model: ModelServer,
    hang: bool,  # noqa: FBT001
) -> None:
    """It was applied: the answer is that of this request, not a replay, and is counted once."""
    async with start(replace(PATIENT, cosmos_call=0.5)) as keepsake:
        await keepsake.chat("First")
        status = None if hang else 500
        cosmos.faults.add(Fault(status=status, kind="batch", hang=hang, applied=True))
        answer = (await keepsake.chat("Hello")).json()
        assert (answer["replayed"], len(model.requests)) == (False, 2)
        assert len(await keepsake.transcript()) == 2
        assert (await keepsake.get("/user/usage"))["spent"]["total"]["turns"] == 2


@pytest.mark.parametrize("deadlines", [SHORT])
async def test_the_last_look_finds_a_late_commit_f52(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """While no try gets through and no read is answered, one more read at the end decides."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=500, kind="batch", applied=True))
    cosmos.faults.add(Fault(status=500, kind="batch", times=99))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["seq"]) == (200, 2)


@pytest.mark.parametrize("deadlines", [SHORT])
async def test_throttling_to_the_end_is_busy_f8(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """The hint of the store is passed on, and the resend is stored once."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=429, kind="batch", retry_after_ms=9000, times=99))
    refused = await keepsake.chat("Hello", turn_id="t")
    cosmos.faults.clear()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
    assert refused.headers["Retry-After"] == "9"
    assert len(await keepsake.transcript()) == 1


async def test_one_users_throttling_does_not_stop_another_f8(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The hint holds for the user who got it; another user's commit is sent at once."""
    for user in (ADA, BEN):
        await keepsake.chat("First", user=user)
    cosmos.faults.add(Fault(status=429, kind="batch", retry_after_ms=1500))
    slow = asyncio.create_task(keepsake.chat("Hello", user=ADA))
    async with asyncio.timeout(10):
        while not cosmos.faults.hits():  # noqa: ASYNC110 - the fault has no event
            await asyncio.sleep(0.005)
    assert (await keepsake.chat("Hello", user=BEN)).status_code == 200
    assert not slow.done()
    assert (await slow).status_code == 200


async def test_a_full_partition_says_what_to_do_f54(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer
) -> None:
    """Sending again does not help; deleting does."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=403, substatus=1014, kind="batch"))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "store_full")
    assert "delete sessions" in answer.json()["error"]["message"]
    assert len(model.requests) == 2


@pytest.mark.parametrize("deadlines", [replace(PATIENT, opening=1)])
@pytest.mark.parametrize("status", [429, 503])
async def test_a_header_that_cannot_be_created_is_not_an_erased_session_f59(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, status: int
) -> None:
    """A short failure is absorbed; a long one is 503 with Retry-After, before the model."""
    cosmos.faults.add(Fault(status=status, kind="batch", times=2, retry_after_ms=10))
    assert (await keepsake.chat("Hello")).status_code == 200
    cosmos.faults.add(Fault(status=status, kind="batch", times=999, retry_after_ms=2000))
    failed = await keepsake.chat("Hello", session_id="another")
    assert (failed.status_code, failed.headers["Retry-After"] >= "1") == (503, True)
    assert len(model.requests) == 1


@pytest.mark.parametrize("applied", [False, True])
async def test_a_delete_with_a_lost_response_is_finished_by_the_next_one_f12(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    cosmos_rows: Rows,
    applied: bool,  # noqa: FBT001
) -> None:
    """However the batch of a delete fails, repeating the delete leaves nothing behind."""
    await keepsake.chat("Hello")
    cosmos.faults.add(Fault(status=500, kind="batch", applied=applied))
    async with keepsake.client() as client:
        await client.delete("/sessions/s")
        assert (await client.delete("/sessions/s")).status_code == 204
    assert (cosmos_rows("turn"), cosmos_rows("session")) == ([], [])


async def test_short_pages_are_read_completely(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """Queries may return pages of any size; transcript, lists and windows are complete anyway."""
    for n in range(6):
        await keepsake.chat(f"Message {n}")
    cosmos.faults.add(Fault(short_pages=1, times=100))
    assert [turn["seq"] for turn in await keepsake.transcript()] == [1, 2, 3, 4, 5, 6]
    assert "12 earlier messages" in (await keepsake.chat("And?")).json()["reply"]


async def test_the_sdk_does_not_retry_a_slow_write_f12(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The write may have been applied, and only Keepsake can tell."""
    cosmos.faults.add(Fault(kind="create", path="/preferences", delay=2.2, times=99))
    async with keepsake.client() as client:
        assert (await client.put("/preferences", json={"preferences": {"a": 1}})).status_code == 503
    assert cosmos.faults.hits() == 1


async def test_preferences_may_be_written_again_after_a_lost_response_f12(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A write may be repeated after its response was lost."""
    cosmos.faults.add(Fault(status=500, kind="create", applied=True))
    async with keepsake.client() as client:
        sent: dict[str, Any] = {"json": {"preferences": {"a": 1}}}
        lost = await client.put("/preferences", **sent)
        again = await client.put("/preferences", **sent)
    assert (lost.status_code, again.status_code, again.json()["preferences"]) == (
        503,
        200,
        {"a": 1},
    )


def _note_token(tokens: list[str | None], request: WireRequest) -> bool:
    tokens.append(request.headers.get("x-ms-session-token"))
    return False
