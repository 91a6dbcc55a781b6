"""The README is true: its commands run, in order, on a product started as it says."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()
MAX_WORDS = 1200
NO_EMBEDDER = find_spec("onnxruntime") is None
COMMANDS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """`make run` with the scripted chat model and the bundled embedder, on an empty folder."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free: int = probe.getsockname()[1]
    arguments = f"ARGS=--port {free} --data {tmp_path_factory.mktemp('data')}"
    command, scripted = ["make", "-s", "run", arguments], os.environ | {"LOCAL_MODEL": "off"}
    with subprocess.Popen(
        command, cwd=ROOT, env=scripted, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stdout
        assert "is ready" in run.stdout.readline()
        yield free
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(15) in {0, -signal.SIGINT}  # make itself may die of it, as under a terminal


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="the README's commands use curl")
def test_every_command_of_the_readme_works_in_order(port: int) -> None:
    """A newcomer who pastes the commands one after the other gets answers, not errors."""
    outputs = [_run(command, port) for command in COMMANDS]
    assert len(outputs) >= 9
    assert [output for output in outputs if '"error"' in output] == []
    late = "recall_semantic" in outputs[0] + outputs[1]  # degraded on a busy machine
    assert "found by meaning" in outputs[1] or late or NO_EMBEDDER
    assert outputs[2].count('"turn_id":"t1"') == 1
    assert {"preferences", "recent_session"} <= set(re.findall(r'"section":"(\w+)"', outputs[5]))


@pytest.mark.skipif(not Path("/usr/bin/curl").exists(), reason="the README's commands use curl")
def test_the_first_turn_may_be_sent_again(port: int) -> None:
    """The README's first request, sent twice, is one turn and gets one reply."""
    first, again = (json.loads(_run(COMMANDS[0], port)) for _ in range(2))
    assert again["replayed"]
    assert again["reply"] == first["reply"]


def test_the_readme_stays_short() -> None:
    """Newcomers read at most 1,200 words, code included."""
    assert len(README.split()) <= MAX_WORDS


def test_the_tour_leaves_memory_on() -> None:
    """Memory that a command switches off is switched on again by a later one."""
    switches = re.findall(r'"memory_enabled": (\w+)', "".join(COMMANDS))
    assert switches[-1:] in ([], ["true"])


def test_the_commands_named_in_prose_exist() -> None:
    """Each make target the README names is one."""
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`?make (\w+)", README)) - {"it", "them"}
    assert named
    assert [
        target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)
    ] == []


def test_the_tests_and_folders_it_points_to_exist() -> None:
    """No promise points to a file that is not there."""
    paths = re.findall(
        r"`((?:tests|shared|local|devtools|operate|bench|infra|docs|function_app)[\w/.]*)`", README
    )
    paths += re.findall(r"\]\((docs/[\w/.-]+)\)", README)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_error_code_is_explained() -> None:
    """docs/errors.md lists every error code that a caller may get, and no other."""
    domain, http = (
        (ROOT / "shared" / name).read_text() for name in ("domain/errors.py", "http/errors.py")
    )
    codes = re.findall(r'^    code = "(\w+)"', domain, re.MULTILINE)
    codes += re.findall(r'(?:code=|\d{3}: )"(\w+)"', http)
    assert {"turn_conflict", "method_not_allowed", "internal_error"} <= set(codes)
    assert sorted(re.findall(r"^\| \d{3} \| `(\w+)`", ERRORS, re.MULTILINE)) == sorted(set(codes))


def _run(command: str, port: int) -> str:
    done = subprocess.run(
        ["bash", "-c", command.replace("7071", str(port))],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout
