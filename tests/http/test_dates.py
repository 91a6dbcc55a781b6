"""Dates: imports keep theirs, and models are given them in the user's time zone."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from tests.support.app import Keepsake
from tests.support.model_server import ModelServer
from tests.support.rows import replace_item

pytestmark = pytest.mark.anyio

LATE_EVENING = "2023-05-08T23:30:00+02:00"  # 21:30 in UTC
ZONES = [
    (None, "8 May 2023"),
    ("America/New_York", "8 May 2023"),
    ("Pacific/Auckland", "9 May 2023"),
]


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """Dates do not depend on the session cache."""
    return {}


async def record(keepsake: Keepsake, session: str, *times: str) -> None:
    """Record a turn said at each of these times."""
    async with keepsake.client() as client:
        for n, at in enumerate(times):
            said = {"role": "user", "content": "My rabbit Hazel eats dandelions.", "at": at}
            path = f"/sessions/{session}/turns/t{n}"
            assert (await client.put(path, json={"messages": [said]})).status_code == 201


async def set_zone(keepsake: Keepsake, zone: object) -> Any:
    """Set the user's time zone."""
    async with keepsake.client() as client:
        return await client.patch("/preferences", json={"preferences": {"time_zone": zone}})


async def last_active_at(keepsake: Keepsake, session: str) -> str:
    """When the session was last active."""
    return str((await keepsake.get(f"/sessions/{session}"))["last_active_at"])


async def test_a_message_keeps_the_offset_of_its_time(keepsake: Keepsake) -> None:
    """The local time at which something was said is part of it."""
    await record(keepsake, "s", LATE_EVENING)
    assert (await keepsake.transcript())[0]["messages"][0]["at"] == LATE_EVENING


async def test_an_import_is_as_old_as_its_newest_message(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Sessions are listed by when something was said in them, not by when it was imported."""
    await record(keepsake, "today", datetime.fromtimestamp(cosmos.clock.now(), UTC).isoformat())
    await record(keepsake, "old", LATE_EVENING)
    await record(keepsake, "older", "2021-01-01T00:00:00Z", "2020-01-01T00:00:00Z")
    sessions = (await keepsake.get("/sessions"))["value"]
    assert [session["session_id"] for session in sessions] == ["today", "old", "older"]
    assert await last_active_at(keepsake, "old") == "2023-05-08T21:30:00Z"
    assert await last_active_at(keepsake, "older") == "2021-01-01T00:00:00Z"


async def test_a_time_in_the_future_does_not_keep_a_session_on_top(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A client's clock may be wrong: a session was never last active after now."""
    now = datetime.fromtimestamp(cosmos.clock.now(), UTC).isoformat()
    await record(keepsake, "s", "2999-01-01T00:00:00Z")
    assert now <= await last_active_at(keepsake, "s") < "2900"


@pytest.mark.parametrize(("zone", "date"), ZONES)
async def test_dates_are_stated_in_the_users_time_zone(
    keepsake: Keepsake, model: ModelServer, zone: str | None, date: str
) -> None:
    """What is summarised, recalled and published carries the date that the user's calendar had."""
    await set_zone(keepsake, zone)
    await record(keepsake, "old", LATE_EVENING)
    async with keepsake.client() as client:
        assert (await client.post("/sessions/old/consolidate")).status_code == 200
    summarised = model.requests[-1]["messages"][-1]["content"]
    day = f"2023-05-{date.split(maxsplit=1)[0]:0>2}"
    assert re.findall(r'"at": "(.*?)"', summarised) == [day]
    await keepsake.chat("What does my rabbit eat?", session_id="new")
    sent = "".join(str(message["content"]) for message in model.requests[-1]["messages"])
    recent = re.findall("<recent_session>(.*?)</recent_session>", sent, re.DOTALL)
    assert [json.loads(block)["when"] for block in recent] == [date]
    assert f"[{date}] user: My rabbit" in sent


@pytest.mark.parametrize(
    "zone", ["Mars/Base", "W. Europe Standard Time", "../etc/passwd", "Europe", "", 2, ["UTC"]]
)
async def test_an_unknown_time_zone_is_refused(keepsake: Keepsake, zone: object) -> None:
    """Only names of the IANA database are time zones; nothing is stored."""
    answer = await set_zone(keepsake, zone)
    error = answer.json()["error"]
    assert (answer.status_code, error["target"]) == (400, "preferences.time_zone")
    assert "Europe/Berlin" in error["message"]
    assert (await keepsake.get("/preferences"))["preferences"] == {}


async def test_an_import_survives_a_time_to_live_that_is_set_later(
    keepsake: Keepsake,
) -> None:
    """A time to live counts from the import, not from when the messages were said."""
    await record(keepsake, "s", LATE_EVENING)
    async with keepsake.client() as client:
        await client.patch("/sessions/s", json={"ttl_seconds": 3600})
    assert len(await keepsake.transcript()) == 1


async def test_a_time_to_live_counts_from_the_newest_import(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Not from the first one, which may be long ago."""
    await record(keepsake, "s", LATE_EVENING)
    cosmos.clock.advance(10 * 86_400)
    async with keepsake.client() as client:
        said = {"role": "user", "content": "More", "at": LATE_EVENING}
        await client.put("/sessions/s/turns/later", json={"messages": [said]})
        await client.patch("/sessions/s", json={"ttl_seconds": 86_400})
    cosmos.clock.advance(5)
    assert len(await keepsake.transcript()) == 2


@pytest.mark.parametrize("at", ["1000-01-01T00:00:00+14:00", "9999-12-30T23:59:59-01:00"])
async def test_times_at_the_ends_of_the_calendar_can_be_read_again(
    keepsake: Keepsake, at: str
) -> None:
    """What was accepted once never makes a session, or the list of sessions, unreadable."""
    await record(keepsake, "s", at)
    assert [one["session_id"] for one in (await keepsake.get("/sessions"))["value"]] == ["s"]
    assert (await keepsake.chat("Hello")).status_code == 200


async def test_the_same_time_with_another_offset_is_the_same_turn(keepsake: Keepsake) -> None:
    """A client may render a time differently when it sends an import again."""
    async with keepsake.client() as client:
        statuses = [
            (
                await client.put(
                    "/sessions/s/turns/t",
                    json={"messages": [{"role": "user", "content": "Hi", "at": at}]},
                )
            ).status_code
            for at in (LATE_EVENING, "2023-05-08T21:30:00Z", "2023-05-08T21:30:01Z")
        ]
    assert statuses == [201, 200, 409]


async def test_a_time_zone_that_was_valid_once_does_not_block_other_changes(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Names leave the database; only a new value is checked, and dates are in UTC meanwhile."""
    await set_zone(keepsake, "Europe/Berlin")
    (row,) = cosmos.rows("preferences")
    changed = dict(row) | {"preferences": {"time_zone": "Europe/Atlantis"}}
    await replace_item(cosmos, changed, container="preferences")
    async with keepsake.client() as client:
        patched = await client.patch("/preferences", json={"preferences": {"place": "Oslo"}})
    assert patched.status_code == 200
    await record(keepsake, "s", LATE_EVENING)
    assert (await keepsake.chat("Hello")).status_code == 200
