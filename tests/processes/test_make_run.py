"""`make run` is `python -m local`: it starts whole or says why not, ends whole, and forgets nothing it has answered."""

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

from local.model import Behaviour
from tests.support.model_server import ModelServer
from tests.support.processes import Program, program, wait_until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads /proc; the kernel ends orphans"
)
MARK = "KEEPSAKE_TEST_RUN"  # in the environment of every process of one run
ADA = {"x-user-id": "ada"}


@dataclass(frozen=True)
class Run:
    """One run of `python -m local` on a folder of its own."""

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
        """The parent of its processes."""
        return self.program.process.pid

    def processes(self) -> set[int]:
        """Those of its processes that live."""
        return {
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/environ")
            if self._is_of(path)
        }

    def process_of(self, module: str) -> int:
        """The process that runs a module of ours."""
        (found,) = (pid for pid in self.processes() if f"\0{module}\0".encode() in command_of(pid))
        return found

    def _is_of(self, path: Path) -> bool:
        try:
            return self.mark.encode() in path.read_bytes()
        except OSError:
            return False


def command_of(pid: int) -> bytes:
    """The command line of a process, each word ended by a NUL; nothing of one that has just ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def keepsake(data: Path, *, port: int = 0, settings: dict[str, str] | None = None) -> Iterator[Run]:
    """A run; wherever it is left, no process of it may be left over."""
    mark = uuid4().hex
    marked = {MARK: mark, "LOCAL_MODEL": "off", **(settings or {})}
    with program(
        "-m", "local", "--port", str(port), "--data", str(data), settings=marked
    ) as started:
        run = Run(started, mark, data)
        yield run
        run.program.wait()
        wait_until(lambda: run.processes() == set())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run that nobody stops."""
    with keepsake(tmp_path_factory.mktemp("running") / "data") as run:
        assert run.address
        yield run
        run.program.process.terminate()


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_whole(tmp_path: Path, name: signal.Signals) -> None:
    """Ctrl-C, kill and a closed terminal end every process, quietly and with exit code 0."""
    with keepsake(tmp_path) as run:
        assert httpx.get(f"{run.address}/api/health").status_code == 200
        os.kill(run.pid, name)
        assert (run.program.wait(), run.program.said()) == (0, "")


def test_ctrl_c_in_a_terminal_ends_it_whole(tmp_path: Path) -> None:
    """A terminal signals the whole foreground group; that is no different."""
    with keepsake(tmp_path) as run:
        assert run.address
        os.killpg(run.pid, signal.SIGINT)
        assert (run.program.wait(), run.program.said()) == (0, "")


def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    """While the first waits for a request to end, the second does not."""
    with keepsake(tmp_path) as run, closing(begin_request(run.address)) as request:
        os.kill(run.pid, signal.SIGINT)
        wait_until(lambda: refuses(run.address))
        os.kill(run.pid, signal.SIGINT)
        assert run.program.wait() == 130  # and not 0, as when the first had been enough
        assert request.recv(1) == b""


def test_a_dead_model_ends_it_by_name(tmp_path: Path) -> None:
    """When the model's process dies, the rest goes too, with exit code 1 and one line that names it."""
    with keepsake(tmp_path) as run:
        assert run.address
        os.kill(run.process_of("local.model"), signal.SIGKILL)
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: the model ended.*\n", run.program.said())


MOMENTS: dict[str, Callable[[Run], bool]] = {
    "it has begun": lambda _: True,
    "it has taken the folder": lambda run: (run.data / "lock").exists(),
    "it is about to start the model": lambda run: (run.data / "model.log").exists(),
    "it has started the model": lambda run: len(run.processes()) > 1,
    "it has opened the database": lambda run: (run.data / "cosmos.sqlite").exists(),
}


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        *((moment, signal.SIGTERM) for moment in MOMENTS),
        ("it has started the model", signal.SIGINT),
    ],
)
def test_a_signal_while_it_starts_ends_it_whole(
    tmp_path: Path, moment: str, name: signal.Signals
) -> None:
    """At whatever point of its start a signal finds it, nothing is left; before it listens, the signal just kills."""
    with keepsake(tmp_path / "data") as run:
        wait_until(lambda: MOMENTS[moment](run))
        os.kill(run.pid, name)
        assert run.program.wait() in {0, -name}


@pytest.mark.xdist_group("running")
def test_a_folder_serves_one_run(running: Run) -> None:
    """A second run on the same folder says so in one line and leaves the first alone."""
    with keepsake(running.data) as second:
        assert second.program.wait() == 1
        assert re.fullmatch(
            r"keepsake: another Keepsake runs on .*; stop it or give --data\n",
            second.program.said(),
        )
    assert httpx.get(f"{running.address}/api/health").status_code == 200


@pytest.mark.xdist_group("running")
def test_a_port_serves_one_run(running: Run, tmp_path: Path) -> None:
    """A second run on the same port says so in one line, having started nothing."""
    port = httpx.URL(running.address).port
    assert port
    with keepsake(tmp_path / "data", port=port) as second:
        assert second.program.wait() == 1
        assert (
            second.program.said()
            == f"keepsake: port {port} is taken; stop what uses it or give --port\n"
        )
    assert not (tmp_path / "data" / "model.log").exists()


def test_a_database_serves_one_program(tmp_path: Path) -> None:
    """While another program holds the database, one line says so."""
    with closing(sqlite3.connect(tmp_path / "cosmos.sqlite")) as other, keepsake(tmp_path) as run:
        other.execute("BEGIN EXCLUSIVE")
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: .*cosmos.sqlite is in use.*\n", run.program.said())


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """Where it cannot keep anything it does not start, and one line names the place."""
    (tmp_path / "file").touch()
    with keepsake(tmp_path / "file") as run:
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: .*/file cannot be used .*\n", run.program.said())


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    """Half a model is no model: one line names the setting that is missing."""
    with keepsake(
        tmp_path, settings={"OPENAI_BASE_URL": "http://127.0.0.1:1/v1", "OPENAI_API_KEY": "none"}
    ) as run:
        assert run.program.wait() == 1
        assert re.fullmatch(r"keepsake: .*CHAT_MODEL.*\n", run.program.said())


@pytest.mark.parametrize("mode", ["key", "entra"])
def test_what_needs_the_platform_is_not_served(tmp_path: Path, mode: str) -> None:
    """No platform checks keys here: asked for a deployed app's mode it says so, and serves no weaker one."""
    with keepsake(tmp_path, settings={"AUTH_MODE": mode}) as run:
        assert run.program.wait() == 1
        assert re.fullmatch(
            rf"keepsake: AUTH_MODE={mode} .*AUTH_MODE=local.*\n", run.program.said()
        )


def test_a_container_is_not_azure(tmp_path: Path) -> None:
    """A dev container may carry a mark of Azure; what serves loopback only starts there, too."""
    with keepsake(tmp_path, settings={"CONTAINER_NAME": "dev"}) as run:
        assert httpx.get(f"{run.address}/api/sessions", headers=ADA, timeout=20).status_code == 200
        run.program.process.terminate()


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_answered_outlives_it(tmp_path: Path, name: signal.Signals) -> None:
    """A turn that was answered is in the transcript after a restart, even after kill -9, which leaves no orphan."""
    with keepsake(tmp_path) as run:
        turn = {"message": "Hello", "session_id": "s", "turn_id": "t"}
        assert (
            httpx.post(f"{run.address}/api/chat", json=turn, headers=ADA, timeout=20).status_code
            == 200
        )
        os.kill(run.pid, name)
    with keepsake(tmp_path) as again:
        kept = httpx.get(f"{again.address}/api/sessions/s/turns", headers=ADA, timeout=20).json()[
            "value"
        ]
        again.program.process.terminate()
    assert [turn["turn_id"] for turn in kept] == ["t"]
    assert (tmp_path / "appendonlydir").is_dir()  # Redis keeps what it had, too


@pytest.mark.parametrize("moment", [0.004, 0.012, 0.03])
def test_a_worker_killed_in_a_turn_leaves_it_whole_or_not_at_all(
    tmp_path: Path, moment: float
) -> None:
    """Kill -9 at some moment of a turn, all of Redis gone with it: the resend completes it, and it is stored once."""
    turn = {"message": "Hello", "session_id": "s", "turn_id": "t"}
    with keepsake(tmp_path) as run, ThreadPoolExecutor(1) as caller:
        warm = {"message": "First", "session_id": "s", "turn_id": "first"}
        httpx.post(f"{run.address}/api/chat", json=warm, headers=ADA, timeout=20).raise_for_status()
        cut_off = caller.submit(
            httpx.post, f"{run.address}/api/chat", json=turn, headers=ADA, timeout=20
        )
        wait([cut_off], moment)
        os.kill(run.pid, signal.SIGKILL)
        wait([cut_off])
    rmtree(tmp_path / "appendonlydir", ignore_errors=True)
    with keepsake(tmp_path) as again:
        answer = httpx.post(f"{again.address}/api/chat", json=turn, headers=ADA, timeout=20).json()
        kept = httpx.get(f"{again.address}/api/sessions/s/turns", headers=ADA, timeout=20).json()[
            "value"
        ]
        again.program.process.terminate()
    assert [stored["turn_id"] for stored in kept] == ["first", "t"]
    assert kept[1]["messages"][-1]["content"] == answer["reply"]


def test_a_turn_under_way_is_answered_before_it_ends(tmp_path: Path, model: ModelServer) -> None:
    """A signal lets the requests that are under way end first."""
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


def begin_request(address: str) -> socket.socket:
    """A request whose body never comes."""
    url = httpx.URL(address)
    connection = socket.create_connection((url.host, url.port))
    head = f"POST /api/chat HTTP/1.1\r\nhost: {url.netloc.decode()}\r\nx-user-id: ada\r\n"
    connection.sendall(
        f"{head}content-type: application/json\r\ncontent-length: 9\r\n\r\n".encode() + b"{"
    )
    return connection


def refuses(address: str) -> bool:
    """Whether nobody listens there."""
    try:
        httpx.get(f"{address}/api/health")
    except httpx.TransportError:
        return True
    return False
