"""`make run` without a configured model answers with a small local one, or says why it cannot."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes.test_make_run import ADA, Run, keepsake
from tests.support.processes import ROOT, program

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads /proc; the kernel ends orphans"
)
TURN = {"message": "What is a keepsake?", "session_id": "s", "turn_id": "t"}
STARTED = """
import asyncio, os, pathlib
from local.models import running_models
async def main():
    async with running_models(pathlib.Path(os.environ["DATA"])):
        print(os.environ["MAX_COMPLETION_TOKENS"], os.environ["HISTORY_TOKENS"], flush=True)
asyncio.run(main())
"""
SMALL = {"LOCAL_MODEL": "", "EMBEDDING_MODEL": "", "MAX_COMPLETION_TOKENS": "32"}


@pytest.fixture
def _runtime() -> None:
    """Skip if the runtime is not installed; checked in a child, because it takes 100 MB."""
    if subprocess.run(
        [sys.executable, "-c", "import xllamacpp"], check=False, capture_output=True
    ).returncode:
        pytest.skip("SKIPPED: xllamacpp cannot be imported")


@pytest.mark.usefixtures("_runtime")
def test_a_real_model_answers_once(tmp_path: Path) -> None:
    """A turn is answered by the model's process, and a resend gets the stored text."""
    with keepsake(tmp_path, settings=SMALL) as run:
        assert run.address
        assert run.process_of("local.small_model")
        first, again = chat(run), chat(run)
        turns = httpx.get(f"{run.address}/api/sessions/s/turns", headers=ADA, timeout=20).json()[
            "value"
        ]
        run.program.process.terminate()
        assert (run.program.wait(), run.program.error_output()) == (0, "")
    assert first["reply"].strip()
    assert (again["reply"], again["replayed"]) == (first["reply"], True)
    assert [message["content"] for turn in turns for message in turn["messages"]] == [
        TURN["message"],
        first["reply"],
    ]


@pytest.mark.usefixtures("_runtime")
@pytest.mark.parametrize(
    ("settings", "history_tokens"), [({}, "1000"), ({"HISTORY_TOKENS": "500"}, "500")]
)
def test_the_small_model_has_small_budgets(
    tmp_path: Path, settings: dict[str, str], history_tokens: str
) -> None:
    """The model is slow, so budgets are small by default."""
    with program(
        "-c", STARTED, settings={"DATA": str(tmp_path), "EMBEDDING_MODEL": "none"} | settings
    ) as running:
        assert running.first_line() == f"256 {history_tokens}"
        assert (running.wait(), running.error_output()) == (0, "")


def test_without_its_runtime_the_scripted_model_answers(tmp_path: Path) -> None:
    """If the runtime cannot be loaded, one line says so, and the scripted model answers."""
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('no wheel')")
    with keepsake(
        tmp_path, settings=SMALL | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ) as run:
        assert chat(run)["reply"].startswith(f'You said: "{TURN["message"]}"')
        assert re.fullmatch(
            r"keepsake: the small model did not start; using the scripted one\. .*model\.log\n",
            run.program.error_output(),
        )
        run.program.process.terminate()


def test_an_invalid_local_model_is_named(tmp_path: Path) -> None:
    """An invalid value starts nothing."""
    with keepsake(tmp_path, settings={"LOCAL_MODEL": "llama"}) as run:
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: LOCAL_MODEL: .*\n", run.program.error_output())


def chat(run: Run) -> dict[str, Any]:
    """Take the turn; returns the answer."""
    answer = httpx.post(f"{run.address}/api/chat", json=TURN, headers=ADA, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
