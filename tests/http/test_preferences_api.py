"""Preferences over HTTP."""

import asyncio
from typing import Any

import pytest

from cosmos_local import LocalCosmos
from tests.support.app import Keepsake, running
from tests.support.faulty import Meanwhile
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These promises do not depend on a session cache."""
    return {}


async def test_a_new_user_has_none(keepsake: Keepsake) -> None:
    """200, empty, ETag "0": not an error, and not made by looking."""
    async with keepsake.client() as client:
        answer = await client.get("/preferences")
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (
        200,
        {"preferences": {}, "memory_enabled": True},
        '"0"',
    )


async def test_put_replaces_and_patch_merges(keepsake: Keepsake) -> None:
    """PUT sets exactly the object, PATCH changes what it names, DELETE clears."""
    async with keepsake.client() as client:
        await client.put(
            "/preferences", json={"preferences": {"tone": "short", "units": {"temperature": "C"}}}
        )
        merged = await client.patch(
            "/preferences", json={"preferences": {"tone": None, "units": {"length": "m"}}}
        )
        replaced = await client.put("/preferences", json={"preferences": {"a": 1}})
        deleted = [(await client.delete("/preferences")).status_code for _ in range(2)]
        assert (await client.get("/preferences")).headers["etag"] == '"0"'
    assert merged.json()["preferences"] == {"units": {"temperature": "C", "length": "m"}}
    assert replaced.json()["preferences"] == {"a": 1}
    assert deleted == [204, 204]


async def test_merge_patch_has_its_own_media_type(keepsake: Keepsake) -> None:
    """application/merge-patch+json is understood."""
    async with keepsake.client() as client:
        answer = await client.patch(
            "/preferences",
            content=b'{"preferences": {"a": 1}}',
            headers={"content-type": "application/merge-patch+json"},
        )
    assert answer.json()["preferences"] == {"a": 1}


async def test_a_write_repeated_after_a_lost_answer_is_accepted(keepsake: Keepsake) -> None:
    """The ETag is of the content, so the same change leads to the same ETag."""
    async with keepsake.client() as client:
        first = await client.put("/preferences", json={"preferences": {"a": 1}})
        again = await client.put(
            "/preferences",
            json={"preferences": {"a": 1}},
            headers={"If-Match": first.headers["etag"]},
        )
    assert (again.status_code, again.headers["etag"]) == (200, first.headers["etag"])


async def test_an_old_etag_is_refused_f10(keepsake: Keepsake) -> None:
    """If-Match with what is no longer there is 412 and changes nothing."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"a": 1}})
        answers = [
            await client.request(method, "/preferences", json=body, headers={"If-Match": '"0"'})
            for method, body in [
                ("PUT", {}),
                ("PATCH", {"preferences": {"a": 2}}),
                ("DELETE", None),
            ]
        ]
        kept = (await client.get("/preferences")).json()["preferences"]
    assert ([answer.status_code for answer in answers], kept) == ([412, 412, 412], {"a": 1})


async def test_any_etag_stands_for_what_is_there(keepsake: Keepsake) -> None:
    """If-Match: * is met by whatever is stored, and by nothing else."""
    sent: dict[str, Any] = {"json": {"preferences": {"a": 1}}, "headers": {"If-Match": "*"}}
    async with keepsake.client() as client:
        none = await client.put("/preferences", **sent)
        await client.put("/preferences", json={"preferences": {"a": 0}})
        some = await client.put("/preferences", **sent)
    assert (none.status_code, some.status_code) == (412, 200)


async def test_preferences_changed_while_they_are_forgotten_are_kept_f10(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """DELETE with If-Match forgets what its caller has seen, and nothing that came after it was read."""
    async with running(cosmos, model) as app, app.client() as client:
        etag = (await client.put("/preferences", json={"preferences": {"a": 1}})).headers["etag"]
        meanwhile = Meanwhile(2, lambda: client.put("/preferences", json={"preferences": {"a": 2}}))
        async with (
            running(cosmos, model, wrap=meanwhile.wrap) as other,
            other.client() as forgetting,
        ):
            answer = await forgetting.delete("/preferences", headers={"If-Match": etag})
        kept = (await client.get("/preferences")).json()["preferences"]
    assert (answer.status_code, kept) == (412, {"a": 2})


async def test_patches_at_once_are_all_kept_f10(keepsake: Keepsake) -> None:
    """Five writers of different keys lose nothing: each merges into what is stored at that moment."""
    async with keepsake.client() as client:
        patches = [
            client.patch("/preferences", json={"preferences": {f"k{n}": n}}) for n in range(5)
        ]
        answers = await asyncio.gather(*patches)
        stored = (await client.get("/preferences")).json()["preferences"]
    accepted = [n for n, answer in enumerate(answers) if answer.status_code == 200]
    assert stored == {f"k{n}": n for n in accepted}
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert accepted


async def test_preferences_are_renewed_once_a_day(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """The first turn of a day writes them, and no other."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"a": 1}})
    await keepsake.chat()
    calls = [(await keepsake.chat()).json()["usage"]["cosmos_calls"]]
    cosmos.clock.advance(86_401)
    calls += [(await keepsake.chat()).json()["usage"]["cosmos_calls"] for _ in range(2)]
    assert calls[1:] == [calls[0] + 1, calls[0]]


async def test_preferences_live_on_with_use(keepsake: Keepsake, cosmos: LocalCosmos) -> None:
    """They expire 90 days after the last turn, not after they were set."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"a": 1}})
        cosmos.clock.advance(80 * 86_400)
        await keepsake.chat()
        cosmos.clock.advance(80 * 86_400)
        assert (await client.get("/preferences")).json()["preferences"] == {"a": 1}
        cosmos.clock.advance(11 * 86_400)
        assert (await client.get("/preferences")).json()["preferences"] == {}
