"""Providers cache a prompt's prefix: most of each prompt must repeat the one before it."""

import json
from itertools import pairwise
from random import Random

import pytest

from local.model import Behaviour
from tests.support.app import Keepsake
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio
TURNS = range(1, 61)
SETTLED = range(16, 61)  # turns from which on the history no longer only grows


VOCABULARY = [
    "time",
    "people",
    "water",
    "house",
    "garden",
    "little",
    "morning",
    "letter",
    "because",
]


def words(count: int, seed: int) -> str:
    """A text of this many English words."""
    chosen = Random(seed).choices(VOCABULARY, k=count)  # noqa: S311 - no secret
    return " ".join(chosen)


def common_prefix(one: str, other: str) -> int:
    """The number of characters that both begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


async def test_most_of_a_prompt_repeats_the_one_before(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """Sixty turns of 40 and 120 words, with consolidation: at least 80 percent of the bytes."""
    prompts: list[str] = []
    for turn in TURNS:
        model.script.append(Behaviour(text=words(120, turn)))
        answer = await keepsake.chat(words(40, -turn), memory={"recall": False})
        assert answer.status_code == 200, answer.text
        prompts.append(json.dumps(model.requests[-1]["messages"]))
        model.script.clear()
        summary = json.dumps({"title": "Talk", "summary": words(100, turn)})
        model.script.append(Behaviour(text=summary))
        await keepsake.run_jobs()
        model.script.clear()
    repeated = total = 0
    for seq, (before, now) in zip(TURNS[1:], pairwise(prompts), strict=True):
        if seq in SETTLED:
            repeated += common_prefix(before, now)
            total += len(now)
    assert (await keepsake.get("/sessions/s"))["consolidated_seq"] >= 50
    assert repeated / total >= 0.8
