"""Without a model of one's own `make run` answers from a small real one, or says why it does not."""

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
SMALL = {"LOCAL_MODEL": "", "MAX_COMPLETION_TOKENS": "32"}


@pytest.fixture
def _runtime() -> None:
    """Skip where the model's runtime has no wheel; asked of another process, since it fills 100 MB of this one."""
    if subprocess.run(
        [sys.executable, "-c", "import xllamacpp"], check=False, capture_output=True
    ).returncode:
        pytest.skip("xllamacpp cannot be imported here: the small real model is NOT tested")


@pytest.mark.usefixtures("_runtime")
def test_a_real_model_answers_once(tmp_path: Path) -> None:
    """A chat turn gets some text from the model's process, and a resend the same text, word for word, as stored."""
    with keepsake(tmp_path, settings=SMALL) as run:
        assert run.address
        assert run.process_of("local.small_model")
        first, again = chat(run), chat(run)
        kept = httpx.get(f"{run.address}/api/sessions/s/turns", headers=ADA, timeout=20).json()[
            "value"
        ]
        run.program.process.terminate()
        assert (run.program.wait(), run.program.said()) == (0, "")
    assert first["reply"].strip()
    assert (again["reply"], again["replayed"]) == (first["reply"], True)
    assert [message["content"] for turn in kept for message in turn["messages"]] == [
        TURN["message"],
        first["reply"],
    ]


@pytest.mark.usefixtures("_runtime")
@pytest.mark.parametrize(("given", "told"), [({}, "1000"), ({"HISTORY_TOKENS": "500"}, "500")])
def test_its_answers_are_kept_short(tmp_path: Path, given: dict[str, str], told: str) -> None:
    """It reads slowly: where nothing is said of budgets they are small ones."""
    with program(
        "-c", STARTED, settings={"DATA": str(tmp_path), "EMBEDDING_MODEL": "none"} | given
    ) as running:
        assert running.first_line() == f"256 {told}"
        assert (running.wait(), running.said()) == (0, "")


def test_without_its_runtime_the_scripted_model_answers(tmp_path: Path) -> None:
    """Where the runtime cannot be loaded one line says so, and `make run` runs all the same."""
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('no wheel')")
    with keepsake(
        tmp_path, settings=SMALL | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ) as run:
        assert chat(run)["reply"].startswith(f'You said: "{TURN["message"]}"')
        assert re.fullmatch(
            r"keepsake: no small model, the scripted one answers\. .*model\.log\n",
            run.program.said(),
        )
        run.program.process.terminate()


def test_a_silly_choice_is_named(tmp_path: Path) -> None:
    """A value that means nothing starts nothing."""
    with keepsake(tmp_path, settings={"LOCAL_MODEL": "llama"}) as run:
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: LOCAL_MODEL: .*\n", run.program.said())


def chat(run: Run) -> dict[str, Any]:
    """The answer to the turn."""
    answer = httpx.post(f"{run.address}/api/chat", json=TURN, headers=ADA, timeout=60)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
