"""Preferences over HTTP."""

from typing import Any

import pytest

from cosmos_local import LocalCosmos
from tests.support.app import Keepsake, running
from tests.support.faulty import RequestHook
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These tests do not depend on the session cache."""
    return {}


async def test_a_new_user_has_no_preferences(keepsake: Keepsake) -> None:
    """Reading returns an empty object with ETag "0" and creates nothing."""
    async with keepsake.client() as client:
        answer = await client.get("/preferences")
    assert (answer.status_code, answer.json(), answer.headers["etag"]) == (
        200,
        {"preferences": {}, "memory_enabled": True},
        '"0"',
    )


async def test_put_replaces_and_patch_merges(keepsake: Keepsake) -> None:
    """PUT replaces the object, PATCH changes the named fields, DELETE clears it."""
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


async def test_the_merge_patch_media_type_is_accepted(keepsake: Keepsake) -> None:
    """PATCH accepts application/merge-patch+json."""
    async with keepsake.client() as client:
        answer = await client.patch(
            "/preferences",
            content=b'{"preferences": {"a": 1}}',
            headers={"content-type": "application/merge-patch+json"},
        )
    assert answer.json()["preferences"] == {"a": 1}


async def test_a_write_may_be_repeated_after_a_lost_response(keepsake: Keepsake) -> None:
    """The ETag depends on the content only, so a repeated write passes its own If-Match."""
    async with keepsake.client() as client:
        first = await client.put("/preferences", json={"preferences": {"a": 1}})
        again = await client.put(
            "/preferences",
            json={"preferences": {"a": 1}},
            headers={"If-Match": first.headers["etag"]},
        )
    assert (again.status_code, again.headers["etag"]) == (200, first.headers["etag"])


async def test_an_outdated_etag_is_refused_f10(keepsake: Keepsake) -> None:
    """An outdated If-Match is 412 and changes nothing."""
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


async def test_if_match_any_needs_existing_preferences(keepsake: Keepsake) -> None:
    """`If-Match: *` matches any stored preferences, and fails if there are none."""
    sent: dict[str, Any] = {"json": {"preferences": {"a": 1}}, "headers": {"If-Match": "*"}}
    async with keepsake.client() as client:
        none = await client.put("/preferences", **sent)
        await client.put("/preferences", json={"preferences": {"a": 0}})
        some = await client.put("/preferences", **sent)
    assert (none.status_code, some.status_code) == (412, 200)


async def test_preferences_changed_during_a_conditional_delete_are_kept_f10(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A conditional DELETE does not delete a version that its caller has not seen."""
    async with running(cosmos, model) as app, app.client() as client:
        etag = (await client.put("/preferences", json={"preferences": {"a": 1}})).headers["etag"]
        hook = RequestHook(2, lambda: client.put("/preferences", json={"preferences": {"a": 2}}))
        async with (
            running(cosmos, model, wrap=hook.wrap) as other,
            other.client() as deleting,
        ):
            answer = await deleting.delete("/preferences", headers={"If-Match": etag})
        kept = (await client.get("/preferences")).json()["preferences"]
    assert (answer.status_code, kept) == (412, {"a": 2})


async def test_preferences_are_rewritten_once_a_day(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Only the first turn of a day rewrites the preferences."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"a": 1}})
    await keepsake.chat()
    calls = [(await keepsake.chat()).json()["usage"]["cosmos_calls"]]
    cosmos.clock.advance(86_401)
    calls += [(await keepsake.chat()).json()["usage"]["cosmos_calls"] for _ in range(2)]
    assert calls[1:] == [calls[0] + 1, calls[0]]


async def test_preferences_do_not_expire_while_in_use(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """Preferences expire 90 days after the last turn, not after the last change."""
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"a": 1}})
        cosmos.clock.advance(80 * 86_400)
        await keepsake.chat()
        cosmos.clock.advance(80 * 86_400)
        assert (await client.get("/preferences")).json()["preferences"] == {"a": 1}
        cosmos.clock.advance(11 * 86_400)
        assert (await client.get("/preferences")).json()["preferences"] == {}
