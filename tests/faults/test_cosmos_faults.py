"""Cosmos DB misbehaves: every turn is stored once or not at all, and the caller is told to send again."""

import asyncio
from typing import Any

import pytest

from cosmos_local import Fault, LocalCosmos
from cosmos_local.wire import WireRequest
from shared.adapters import cosmos_client
from shared.services import commits
from tests.conftest import ROOT, Rows
from tests.support.app import Keepsake, running
from tests.support.faulty import PageTransport, Watched
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.anyio

KINDS = ["read", "query", "batch"]


@pytest.mark.parametrize("status", [500, 503, 410, 408])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cosmos_that_stays_away_is_503_and_half_writes_nothing_f9(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    cosmos_rows: Rows,
    redis: RedisServer,
    kind: str,
    status: int,
) -> None:
    """While it fails the answer is 503 with a hint; afterwards the same request makes the one turn."""
    await keepsake.chat("First")
    redis.reset()  # so that a query is needed in both modes
    cosmos.faults.add(Fault(status=status, kind=kind, times=1000))
    failed = await keepsake.chat("Hello", turn_id="t")
    cosmos.faults.clear()
    assert (failed.status_code, failed.headers["Retry-After"] >= "1") == (503, True)
    assert len(cosmos_rows("turn")) == 1
    assert (await keepsake.chat("Hello", turn_id="t")).json()["seq"] == 2


@pytest.mark.parametrize("status", [500, 503, 408, 449])
async def test_a_batch_that_fails_once_is_still_a_turn_f9(
    keepsake: Keepsake, cosmos: LocalCosmos, status: int
) -> None:
    """One failure of the commit is not the caller's business."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=status, kind="batch"))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["seq"]) == (200, 2)


async def test_a_batch_that_meets_others_is_tried_until_it_is_in_f10(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """449, another write of the document is under way, is a lost race and no failure of the store."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=449, kind="batch", times=4))
    answer = await keepsake.chat("Hello")
    assert (answer.status_code, answer.json()["seq"], cosmos.faults.hits()) == (200, 2, 4)


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"\xff"])
async def test_an_answer_that_is_a_page_is_503_f9(
    cosmos: LocalCosmos, model: ModelServer, page: bytes
) -> None:
    """A proxy that answers in Cosmos DB's place is Cosmos DB away, and no error of ours."""
    async with running(cosmos, model, wrap=lambda inner: PageTransport(inner, page)) as app:
        answer = await app.chat("Hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


async def test_under_session_consistency_our_reads_name_what_was_written(
    model: ModelServer,
) -> None:
    """The client learns the account's consistency, or it would send no session tokens: a turn could miss another."""
    cosmos = LocalCosmos.open(None, ROOT / "infra" / "containers.json", consistency="Session")
    tokens: list[str | None] = []
    cosmos.faults.add(Fault(kind="read", match=lambda request: _note(tokens, request)))
    async with running(cosmos, model) as app:
        for text in ("One", "Two"):
            await app.chat(text)
    cosmos.close()
    assert tokens[-1]


async def test_a_throttled_cosmos_is_waited_for_then_503_with_its_hint_f8(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A short throttle is absorbed; a long one is 503 `busy`."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=429, retry_after_ms=10, times=2))
    assert (await keepsake.chat("Second")).status_code == 200
    cosmos.faults.add(Fault(status=429, retry_after_ms=7000, times=1000))
    answer = await keepsake.chat("Third")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")
    assert answer.headers["Retry-After"] == "7"


async def test_fifty_writers_on_one_session_all_get_in_f10(
    keepsake: Keepsake, cosmos_rows: Rows
) -> None:
    """Lost races are tried again until the deadline: fifty of fifty, over two workers' worth of tasks."""
    answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(row["seq"] for row in cosmos_rows("turn")) == list(range(1, 51))


async def test_turns_at_once_in_one_worker_lose_few_races_f10(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """They wait for each other, and know how far the one before them came."""
    watched = Watched()
    async with running(cosmos, model, wrap=watched.wrap) as app:
        await app.chat("First")
        before = watched.batches
        await asyncio.gather(*(app.chat(f"Message {n}") for n in range(20)))
    assert watched.batches - before < 30


async def test_a_create_that_was_made_before_is_found_f11(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """The commit applied and its answer was lost: the repeated batch is 409, and the turn is found, once."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(status=500, kind="batch", applied=True))
    answer = await keepsake.chat("Hello", turn_id="t")
    assert (answer.status_code, answer.json()["seq"]) == (200, 2)
    assert len(await keepsake.transcript()) == 2


async def test_a_turn_id_taken_meanwhile_by_another_body_is_a_conflict_f11(
    keepsake: Keepsake,
) -> None:
    """Two bodies race under one turn id: one is stored, the other is told."""
    answers = await asyncio.gather(
        *(keepsake.chat(text, turn_id="t") for text in ("Hello", "Goodbye"))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(await keepsake.transcript()) == 1


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("kind", ["batch", "create", "read"])
async def test_a_cosmos_that_hangs_is_given_up_and_nothing_doubles_f12(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    applied: bool,  # noqa: FBT001
) -> None:
    """A write may have happened when its answer never comes: the resend finds out, and there is one document."""
    with monkeypatch.context() as impatient:
        impatient.setattr(cosmos_client, "CALL_SECONDS", 0.2)
        cosmos.faults.add(Fault(kind=kind, hang=True, applied=applied, times=3))
        await keepsake.chat("Hello", turn_id="t")
    cosmos.faults.clear()
    answer = await keepsake.chat("Hello", turn_id="t")
    assert (answer.status_code, answer.json()["seq"]) == (200, 1)
    assert len(await keepsake.transcript()) == 1


async def test_a_store_that_hangs_is_told_to_all_who_wait_at_once(
    keepsake: Keepsake, cosmos: LocalCosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five turns of one session behind one hung commit: the four others are not made to find out one by one."""
    await keepsake.chat("First")
    cosmos.faults.add(Fault(kind="batch", hang=True, times=100))
    with monkeypatch.context() as impatient:
        impatient.setattr(commits, "STORE_SECONDS", 1.0)  # by then all five wait
        answers = await asyncio.gather(*(keepsake.chat(f"Message {n}") for n in range(5)))
    hits = cosmos.faults.hits()
    cosmos.faults.clear()
    assert {answer.status_code for answer in answers} == {503}
    assert hits <= 2
    assert (await keepsake.chat("Again")).json()["seq"] == 2


@pytest.mark.parametrize("applied", [False, True])
async def test_a_delete_whose_answer_is_lost_is_finished_by_the_next_f12(
    keepsake: Keepsake,
    cosmos: LocalCosmos,
    cosmos_rows: Rows,
    applied: bool,  # noqa: FBT001
) -> None:
    """However the batch of a delete fails, deleting again leaves nothing."""
    await keepsake.chat("Hello")
    cosmos.faults.add(Fault(status=500, kind="batch", applied=applied))
    async with keepsake.client() as client:
        await client.delete("/sessions/s")
        assert (await client.delete("/sessions/s")).status_code == 204
    assert (cosmos_rows("turn"), cosmos_rows("session")) == ([], [])


async def test_short_pages_lose_nothing(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """A query may answer in pages of any size: transcript, lists and windows are whole all the same."""
    for n in range(6):
        await keepsake.chat(f"Message {n}")
    cosmos.faults.add(Fault(short_pages=1, times=100))
    assert [turn["seq"] for turn in await keepsake.transcript()] == [1, 2, 3, 4, 5, 6]
    assert "12 earlier messages" in (await keepsake.chat("And?")).json()["reply"]


async def test_a_write_whose_answer_is_late_is_not_sent_again_by_the_sdk_f12(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """It may have been applied: what becomes of it is for us to judge."""
    cosmos.faults.add(Fault(kind="create", path="/preferences", delay=2.2, times=99))
    async with keepsake.client() as client:
        assert (await client.put("/preferences", json={"preferences": {"a": 1}})).status_code == 503
    assert cosmos.faults.hits() == 1


async def test_preferences_survive_a_lost_answer_f12(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A write whose answer was lost may be sent again."""
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


def _note(tokens: list[str | None], request: WireRequest) -> bool:
    tokens.append(request.headers.get("x-ms-session-token"))
    return False
