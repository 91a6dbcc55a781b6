"""`make run` starts or names the problem, ends completely, and loses no answered turn."""

import os
import re
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

import httpx
import pytest

from local.data_folder import DATABASE, LAYOUT, VERSION_FILE
from local.model import Behaviour
from tests.support.model_server import ModelServer
from tests.support.processes import Program, program, wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads /proc; the kernel ends orphans"
)
MARK = "KEEPSAKE_TEST_RUN"  # in the environment of every process of a run
ADA = {"x-user-id": "ada"}
SCRIPTED = {  # the scripted model's own vectors: starting the embedder takes half a second
    "LOCAL_MODEL": "off",
    "EMBEDDING_MODEL": "scripted",
}


@dataclass(frozen=True)
class Run:
    """One run of `python -m local` with its own data folder."""

    program: Program
    mark: str
    data: Path

    @cached_property
    def address(self) -> str:
        """Where it serves; waits until it is ready."""
        greeting = self.program.first_line()
        found = re.search(r"http://[\d.:]+", greeting)
        assert found, greeting
        return found.group()

    @property
    def pid(self) -> int:
        """The process id of the parent."""
        return self.program.process.pid

    def processes(self) -> set[int]:
        """The process ids of its living processes."""
        return {
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/environ")
            if self._is_of(path)
        }

    def process_of(self, module: str) -> int:
        """The process that runs one of our modules."""
        (found,) = (pid for pid in self.processes() if f"\0{module}\0".encode() in command_of(pid))
        return found

    def _is_of(self, path: Path) -> bool:
        try:
            return self.mark.encode() in path.read_bytes()
        except OSError:
            return False


def command_of(pid: int) -> bytes:
    """The command line of a process, NUL after each word; empty if the process has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def keepsake(data: Path, *, port: int = 0, settings: dict[str, str] | None = None) -> Iterator[Run]:
    """Start a run, and check that no process is left after the block."""
    mark = uuid4().hex
    marked = {MARK: mark} | SCRIPTED | (settings or {})
    with program(
        "-m", "local", "--port", str(port), "--data", str(data), settings=marked
    ) as started:
        run = Run(started, mark, data)
        yield run
        run.program.wait()
        wait_until(lambda: run.processes() == set())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run that keeps running."""
    with keepsake(tmp_path_factory.mktemp("running") / "data") as run:
        assert run.address
        yield run
        run.program.process.terminate()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_processes(tmp_path: Path, name: signal.Signals) -> None:
    """Ctrl-C, kill and a closed terminal end every process, without output, with exit code 0."""
    with keepsake(tmp_path) as run:
        assert httpx.get(f"{run.address}/api/health").status_code == 200
        os.kill(run.pid, name)
        assert (run.program.wait(), run.program.error_output()) == (0, "")


def test_ctrl_c_in_a_terminal_ends_all_processes(tmp_path: Path) -> None:
    """A terminal signals the whole foreground group, with the same result."""
    with keepsake(tmp_path) as run:
        assert run.address
        os.killpg(run.pid, signal.SIGINT)
        assert (run.program.wait(), run.program.error_output()) == (0, "")


def test_a_second_ctrl_c_ends_the_run_at_once(tmp_path: Path) -> None:
    """The first Ctrl-C waits for open requests, the second does not."""
    with keepsake(tmp_path) as run, closing(start_request(run.address)) as request:
        os.kill(run.pid, signal.SIGINT)
        wait_until(lambda: is_refusing(run.address))
        os.kill(run.pid, signal.SIGINT)
        assert run.program.wait() == 130  # not 0, which the first Ctrl-C alone would give
        assert request.recv(1) == b""


def test_a_dead_model_ends_the_run_and_is_named(tmp_path: Path) -> None:
    """When the model's process dies, all ends with exit code 1 and one line that names it."""
    with keepsake(tmp_path) as run:
        assert run.address
        os.kill(run.process_of("local.model"), signal.SIGKILL)
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: the model ended.*\n", run.program.error_output())


MOMENTS: dict[str, Callable[[Run], bool]] = {
    "after the start": lambda _: True,
    "with the folder locked": lambda run: (run.data / "lock").exists(),
    "before the model's start": lambda run: (run.data / "model.log").exists(),
    "after the model's start": lambda run: len(run.processes()) > 1,
    "with the database open": lambda run: (run.data / "cosmos.sqlite").exists(),
}


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        *((moment, signal.SIGTERM) for moment in MOMENTS),
        ("after the model's start", signal.SIGINT),
    ],
)
def test_a_signal_during_the_start_ends_all_processes(
    tmp_path: Path, moment: str, name: signal.Signals
) -> None:
    """A signal at any point of the start leaves no process behind."""
    with keepsake(tmp_path / "data") as run:
        wait_until(lambda: MOMENTS[moment](run))
        os.kill(run.pid, name)
        assert run.program.wait() in {0, -name}


@pytest.mark.xdist_group("running")
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_root_redirects_to_the_docs(running: Run, path: str) -> None:
    """A person who opens the printed address in a browser gets the API docs."""
    answer = httpx.get(f"{running.address}{path}", follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, "/api/docs")
    assert "swagger-ui" in answer.text
    assert [each.status_code for each in answer.history] == [307]


def test_the_greeting_names_the_docs(tmp_path: Path) -> None:
    """The first line printed has the address of the API and that of its docs."""
    with keepsake(tmp_path) as run:
        greeting = run.program.first_line()
        run.program.process.terminate()
    assert re.match(r"Keepsake is ready at (http://[\d.:]+)/api \(API docs: \1/docs\)", greeting)


@pytest.mark.xdist_group("running")
def test_a_folder_serves_one_run(running: Run) -> None:
    """A second run on the same folder fails with one line and does not affect the first."""
    with keepsake(running.data) as second:
        assert second.program.wait() == 1
        assert re.fullmatch(
            r"keepsake: another Keepsake is using .*; stop it, or choose another .* --data\n",
            second.program.error_output(),
        )
    assert httpx.get(f"{running.address}/api/health").status_code == 200


@pytest.mark.xdist_group("running")
def test_a_port_serves_one_run(running: Run, tmp_path: Path) -> None:
    """A second run on the same port fails with one line before starting anything."""
    port = httpx.URL(running.address).port
    assert port
    with keepsake(tmp_path / "data", port=port) as second:
        assert second.program.wait() == 1
        assert second.program.error_output() == (
            f"keepsake: port {port} is in use; "
            "stop the program that uses it, or choose another with --port\n"
        )
    assert not (tmp_path / "data" / "model.log").exists()


def test_a_database_serves_one_program(tmp_path: Path) -> None:
    """If another program has locked the database, one line says so."""
    (tmp_path / VERSION_FILE).write_text(LAYOUT)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as other, keepsake(tmp_path) as run:
        other.execute("BEGIN EXCLUSIVE")
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: .*cosmos.sqlite is in use.*\n", run.program.error_output())


def test_an_unusable_folder_is_named(tmp_path: Path) -> None:
    """A data path that cannot be used fails the start with one line that names it."""
    (tmp_path / "file").touch()
    with keepsake(tmp_path / "file") as run:
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: .*/file cannot be used .*\n", run.program.error_output())


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    """An incomplete model configuration fails with one line that names the missing setting."""
    with keepsake(
        tmp_path, settings={"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "none"}
    ) as run:
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: .*CHAT_MODEL.*\n", run.program.error_output())


@pytest.mark.parametrize("mode", ["key", "entra"])
def test_modes_that_need_the_platform_are_refused(tmp_path: Path, mode: str) -> None:
    """No platform checks keys or tokens here, so the modes of a deployed app are refused."""
    with keepsake(tmp_path, settings={"AUTH_MODE": mode}) as run:
        assert run.program.wait() == 1
        assert re.fullmatch(
            rf"keepsake: AUTH_MODE={mode} .*AUTH_MODE=local.*\n", run.program.error_output()
        )


def test_a_dev_container_is_not_azure(tmp_path: Path) -> None:
    """A dev container may set one of Azure's variables; a loopback server starts there anyway."""
    with keepsake(tmp_path, settings={"CONTAINER_NAME": "dev"}) as run:
        assert httpx.get(f"{run.address}/api/sessions", headers=ADA, timeout=20).status_code == 200
        run.program.process.terminate()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGKILL])
def test_answered_turns_survive_the_run(tmp_path: Path, name: signal.Signals) -> None:
    """An answered turn is in the transcript after a restart, even after kill -9."""
    with keepsake(tmp_path) as run:
        turn = {"message": "Hello", "session_id": "s", "turn_id": "t"}
        assert (
            httpx.post(f"{run.address}/api/chat", json=turn, headers=ADA, timeout=20).status_code
            == 200
        )
        os.kill(run.pid, name)
    with keepsake(tmp_path) as again:
        turns = httpx.get(f"{again.address}/api/sessions/s/turns", headers=ADA, timeout=20).json()[
            "value"
        ]
        again.program.process.terminate()
    assert [turn["turn_id"] for turn in turns] == ["t"]
    assert (tmp_path / "appendonlydir").is_dir()  # Redis keeps its data too


@pytest.mark.parametrize("moment", [0.004, 0.012, 0.03])
def test_a_turn_killed_midway_is_completed_by_a_resend(tmp_path: Path, moment: float) -> None:
    """Killed during a turn, and without its Redis data: the resend completes the turn once."""
    turn = {"message": "Hello", "session_id": "s", "turn_id": "t"}
    with keepsake(tmp_path) as run, ThreadPoolExecutor(1) as caller:
        warm = {"message": "First", "session_id": "s", "turn_id": "first"}
        httpx.post(f"{run.address}/api/chat", json=warm, headers=ADA, timeout=20).raise_for_status()
        interrupted = caller.submit(
            httpx.post, f"{run.address}/api/chat", json=turn, headers=ADA, timeout=20
        )
        wait([interrupted], moment)
        os.kill(run.pid, signal.SIGKILL)
        wait([interrupted])
    rmtree(tmp_path / "appendonlydir", ignore_errors=True)
    with keepsake(tmp_path) as again:
        answer = httpx.post(f"{again.address}/api/chat", json=turn, headers=ADA, timeout=20).json()
        turns = httpx.get(f"{again.address}/api/sessions/s/turns", headers=ADA, timeout=20).json()[
            "value"
        ]
        again.program.process.terminate()
    assert [stored["turn_id"] for stored in turns] == ["first", "t"]
    assert turns[1]["messages"][-1]["content"] == answer["reply"]


def test_a_turn_in_progress_is_answered_before_shutdown(tmp_path: Path, model: ModelServer) -> None:
    """Requests in progress are completed after a signal."""
    model.script.append(Behaviour(text="at last", delay=0.5))
    settings = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "none", "CHAT_MODEL": "scripted"}
    with keepsake(tmp_path, settings=settings) as run, ThreadPoolExecutor(1) as caller:
        turn = {"message": "Hello", "session_id": "s"}
        answer = caller.submit(
            httpx.post, f"{run.address}/api/chat", json=turn, headers=ADA, timeout=20
        )
        wait_until(lambda: bool(model.requests))
        os.kill(run.pid, signal.SIGTERM)
        assert answer.result().json()["reply"] == "at last"
        assert run.program.wait() == 0


def start_request(address: str) -> socket.socket:
    """Start a request whose body never arrives."""
    url = httpx.URL(address)
    connection = socket.create_connection((url.host, url.port))
    head = f"POST /api/chat HTTP/1.1\r\nhost: {url.netloc.decode()}\r\nx-user-id: ada\r\n"
    connection.sendall(
        f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n".encode() + b"{"
    )
    return connection


def is_refusing(address: str) -> bool:
    """Whether nothing listens there."""
    try:
        httpx.get(f"{address}/api/health")
    except httpx.TransportError:
        return True
    return False
