"""Sessions: listed, read, changed, forgotten."""

import asyncio

import pytest

from local.cosmos import LocalCosmos
from tests.conftest import Rows
from tests.support.app import BEN, Keepsake

pytestmark = pytest.mark.anyio


async def test_sessions_are_listed_newest_first_page_by_page(keepsake: Keepsake) -> None:
    """Following next_link gives every session once, newest first."""
    for n in range(5):
        await keepsake.chat("Hello", session_id=f"s{n}")
    seen: list[str] = []
    link: str | None = "/api/sessions?limit=2"
    async with keepsake.client() as client:
        while link:
            page = (await client.get(f"http://127.0.0.1{link}")).json()
            seen += [session["session_id"] for session in page["value"]]
            link = page.get("next_link")
    assert seen == ["s4", "s3", "s2", "s1", "s0"]


async def test_a_transcript_is_read_page_by_page(keepsake: Keepsake) -> None:
    """Following next_link gives every turn once, in order."""
    for n in range(5):
        await keepsake.chat(f"Message {n}", session_id="a b;ü")
    seen: list[int] = []
    link: str | None = "/api/sessions/a%20b;%C3%BC/turns?limit=2"
    async with keepsake.client() as client:
        while link:
            page = (await client.get(f"http://127.0.0.1{link}")).json()
            seen += [turn["seq"] for turn in page["value"]]
            link = page.get("next_link")
    assert seen == [1, 2, 3, 4, 5]


async def test_a_session_without_turns_is_not_there(keepsake: Keepsake) -> None:
    """A session begins with its first stored turn, not with a failed one."""
    async with keepsake.client() as client:
        assert (await client.get("/sessions/s")).status_code == 404


async def test_a_title_is_set_kept_and_cleared(keepsake: Keepsake) -> None:
    """PATCH changes what it names, null clears, and later turns leave it alone."""
    await keepsake.chat()
    async with keepsake.client() as client:
        await client.patch("/sessions/s", json={"title": "Holidays", "ttl_seconds": 3600})
        await keepsake.chat("More")
        kept = (await client.get("/sessions/s")).json()
        cleared = (await client.patch("/sessions/s", json={"title": None})).json()
    assert (kept["title"], kept["ttl_seconds"], kept["turn_count"]) == ("Holidays", 3600, 2)
    assert ("title" in cleared, cleared["ttl_seconds"]) == (False, 3600)


async def test_a_session_lives_as_long_as_it_is_told(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """`ttl_seconds` counts from the last turn; then header and turns are gone, and the id begins anew."""
    await keepsake.chat()
    async with keepsake.client() as client:
        await client.patch("/sessions/s", json={"ttl_seconds": 120})
        await keepsake.chat("Still here?")
        cosmos.clock.advance(100)
        assert (await client.get("/sessions/s")).status_code == 200
        cosmos.clock.advance(30)
        assert (await client.get("/sessions/s")).status_code == 404
    assert (await keepsake.chat("Anew")).json()["seq"] == 1


async def test_turns_that_expire_earlier_leave_the_session_usable(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """A gap of expired turns shortens the window and breaks nothing."""
    await keepsake.chat("Kept one")
    async with keepsake.client() as client:
        await client.put("/preferences", json={"memory_enabled": False})
        await keepsake.chat("Off the record")
        await client.put("/preferences", json={"memory_enabled": True})
    await keepsake.chat("Kept two")
    cosmos.clock.advance(3700)
    answer = (await keepsake.chat("What now?")).json()
    assert (answer["seq"], "2 earlier messages" in answer["reply"]) == (4, True)


async def test_a_changed_session_refuses_an_old_etag(keepsake: Keepsake) -> None:
    """If-Match protects a change from being made on what the caller has not seen."""
    await keepsake.chat()
    async with keepsake.client() as client:
        etag = (await client.get("/sessions/s")).headers["etag"]
        await client.patch("/sessions/s", json={"title": "One"}, headers={"If-Match": etag})
        refused = await client.patch("/sessions/s", json={"title": "Two"}, headers={"If-Match": etag})
        kept = await client.delete("/sessions/s", headers={"If-Match": etag})
    assert (refused.status_code, kept.status_code) == (412, 412)


async def test_a_forgotten_session_is_gone_and_its_id_is_free(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """DELETE leaves no turn behind; twice is 204; a later turn begins a new session."""
    for n in range(3):
        await keepsake.chat(f"Message {n}", turn_id=f"t{n}")
    async with keepsake.client() as client:
        codes = [(await client.delete("/sessions/s")).status_code for _ in range(2)]
        assert (await client.get("/sessions/s/turns")).status_code == 404
    assert codes == [204, 204]
    assert cosmos_rows("turn") == []
    again = (await keepsake.chat("Message 0", turn_id="t0")).json()
    assert (again["seq"], again["replayed"]) == (1, False)


async def test_a_delete_that_was_interrupted_is_finished_by_the_timer(
    keepsake: Keepsake, cosmos: LocalCosmos, cosmos_rows: Rows
) -> None:
    """Graves are swept once more after five minutes, then closed."""
    await keepsake.chat()
    await keepsake.chat("Another user's", user=BEN)
    async with keepsake.client() as client:
        await client.delete("/sessions/s")
    services = await keepsake.composition.services()
    assert await services.sessions.sweep_due() == 0
    cosmos.clock.advance(301)
    assert await services.sessions.sweep_due() == 1
    assert cosmos_rows("grave") == []
    assert len(cosmos_rows("turn")) == 1


async def test_a_session_deleted_during_a_turn_stays_deleted(keepsake: Keepsake, cosmos_rows: Rows) -> None:
    """A turn that was under way when its session was deleted is 409 and leaves nothing."""
    await keepsake.chat()
    turns = [keepsake.chat(f"Message {n}") for n in range(5)]
    async with keepsake.client() as client:
        answers = await asyncio.gather(*turns, client.delete("/sessions/s"))
    gens = {row["gen"] for row in cosmos_rows("session")}
    assert {answer.status_code for answer in answers} <= {200, 204, 409}
    assert {row["gen"] for row in cosmos_rows("turn")} <= gens


@pytest.mark.parametrize("cursor", ["x", "e30", "W10", "eyJhdCI6MX0", "eyJhdCI6IngiLCJzZXNzaW9uIjoieCJ9"])
async def test_a_cursor_that_is_none_is_refused(keepsake: Keepsake, cursor: str) -> None:
    """A made-up cursor is 400, never an error of ours."""
    async with keepsake.client() as client:
        answer = await client.get(f"/sessions?cursor={cursor}")
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "cursor")


async def test_a_turn_answered_elsewhere_is_recorded_once(keepsake: Keepsake) -> None:
    """PUT is 201, then 200 for the same body, then 409 for another."""
    body = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    other = {"messages": [{"role": "user", "content": "Hi there"}]}
    async with keepsake.client() as client:
        answers = [await client.put("/sessions/s/turns/t1", json=sent) for sent in (body, body, other)]
    assert [answer.status_code for answer in answers] == [201, 200, 409]
    assert "2 earlier messages" in (await keepsake.chat("And?")).json()["reply"]


async def test_an_imported_turn_keeps_its_time(keepsake: Keepsake) -> None:
    """`at` in the past is when it was said."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "at": "2020-01-01T00:00:00Z"}
    async with keepsake.client() as client:
        turn = (await client.put("/sessions/s/turns/t1", json=body)).json()
    assert turn["messages"][0]["at"] == "2020-01-01T00:00:00Z"
