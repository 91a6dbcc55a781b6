"""Concurrent writers of one document: none is refused, and no write is lost."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Start
from tests.support.app import Keepsake

pytestmark = pytest.mark.anyio
WRITERS = 40
Write = Callable[[Keepsake, int, dict[str, str]], Awaitable[httpx.Response]]


async def patch_preferences(
    worker: Keepsake, number: int, headers: dict[str, str]
) -> httpx.Response:
    """Set a key that no other writer sets."""
    async with worker.client() as client:
        body = {"preferences": {f"key{number}": number}}
        return await client.patch("/preferences", json=body, headers=headers)


async def patch_session(worker: Keepsake, number: int, headers: dict[str, str]) -> httpx.Response:
    """Set a title that no other writer sets."""
    async with worker.client() as client:
        return await client.patch("/sessions/s", json={"title": f"Title {number}"}, headers=headers)


async def write_all(
    start: Start, write: Write, headers: dict[str, str] | None = None
) -> list[httpx.Response]:
    """Start forty writers at once on two workers, which share no lock."""
    async with start() as one, start() as other:
        workers = (one, other)
        writing = (write(workers[n % 2], n, headers or {}) for n in range(WRITERS))
        return await asyncio.gather(*writing)


async def test_preferences_keep_the_keys_of_all_writers_f10(
    keepsake: Keepsake, start: Start
) -> None:
    """Forty patches of different keys succeed, and all forty keys are stored."""
    answers = await write_all(start, patch_preferences)
    assert Counter(answer.status_code for answer in answers) == {200: WRITERS}
    stored = (await keepsake.get("/preferences"))["preferences"]
    assert stored == {f"key{n}": n for n in range(WRITERS)}


async def test_a_session_accepts_the_changes_of_all_writers_f10(
    keepsake: Keepsake, start: Start
) -> None:
    """Forty patches of one session succeed, and one of the titles is stored."""
    await keepsake.chat()
    answers = await write_all(start, patch_session)
    assert Counter(answer.status_code for answer in answers) == {200: WRITERS}
    assert (await keepsake.get("/sessions/s"))["title"] in {f"Title {n}" for n in range(WRITERS)}


async def test_turns_and_session_changes_do_not_conflict_f10(
    keepsake: Keepsake,
) -> None:
    """Concurrent turns and changes of one session all succeed."""
    await keepsake.chat()
    turns = (keepsake.chat(f"Message {n}", turn_id=f"t{n}") for n in range(8))
    changes = (patch_session(keepsake, n, {}) for n in range(8))
    answers = await asyncio.gather(*turns, *changes)
    assert Counter(answer.status_code for answer in answers) == {200: 16}


@pytest.mark.parametrize(
    ("path", "write"), [("/preferences", patch_preferences), ("/sessions/s", patch_session)]
)
async def test_one_of_many_writers_with_if_match_wins_f10(
    keepsake: Keepsake, start: Start, path: str, write: Write
) -> None:
    """Of forty writers that read the same version one succeeds, and the others get 412."""
    await keepsake.chat()
    async with keepsake.client() as client:
        await client.put("/preferences", json={"preferences": {"language": "English"}})
        etag = (await client.get(path)).headers["ETag"]
    answers = await write_all(start, write, {"if-match": etag})
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: WRITERS - 1}
    codes: set[Any] = {answer.json().get("error", {}).get("code") for answer in answers}
    assert codes == {None, "precondition_failed"}
