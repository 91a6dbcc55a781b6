"""The README is true: its commands run, in their order, on a product started as it says."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """`make run` on a free port and an empty folder."""
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
    """A stranger who pastes the commands one after the other gets answers, not errors."""
    outputs = [_run(command, port) for command in COMMANDS]
    assert len(outputs) >= 9
    assert [output for output in outputs if '"error"' in output] == []
    assert "one short sentence" in outputs[1]
    assert outputs[2].count('"turn_id":"t1"') == 1


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
    paths = re.findall(r"`((?:tests|shared|local|infra|docs|function_app)[\w/.]*)`", README)
    paths += re.findall(r"\]\((docs/[\w/.-]+)\)", README)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_error_code_is_explained() -> None:
    """The table of errors has each code a caller may meet."""
    domain, http = (
        (ROOT / "shared" / name).read_text() for name in ("domain/errors.py", "http/errors.py")
    )
    codes = re.findall(r'^    code = "(\w+)"', domain, re.MULTILINE)
    codes += re.findall(r'(?:code=|\d{3}: )"(\w+)"', http)
    assert {"turn_conflict", "method_not_allowed", "internal_error"} <= set(codes)
    assert [code for code in codes if f"`{code}`" not in README] == []


def _run(command: str, port: int) -> str:
    done = subprocess.run(
        ["bash", "-c", command.replace("7071", str(port))],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout
