"""`make run` uses a data folder only if it can read what is in it."""

import sys
from pathlib import Path

import httpx
import pytest

from local.data_folder import DATABASE, LAYOUT, REDIS_FOLDER, VERSION_FILE
from tests.processes.test_make_run import ADA, keepsake

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads /proc; the kernel ends orphans"
)
TURN = {"message": "Hello", "session_id": "s", "turn_id": "t"}


def test_a_new_folder_is_marked(tmp_path: Path) -> None:
    """The first start writes the layout's version into the folder, and later starts accept it."""
    data = tmp_path / "data"
    with keepsake(data) as run:
        chat = httpx.post(f"{run.address}/api/chat", json=TURN, headers=ADA, timeout=20)
        assert chat.status_code == 200
        run.program.process.terminate()
    assert (data / VERSION_FILE).read_text() == f"{LAYOUT}\n"
    with keepsake(data) as again:
        turns = httpx.get(f"{again.address}/api/sessions/s/turns", headers=ADA, timeout=20).json()
        again.program.process.terminate()
    assert [turn["turn_id"] for turn in turns["value"]] == ["t"]


def test_a_folder_without_data_is_accepted(tmp_path: Path) -> None:
    """Logs and environments of benchmarks are not data, so the folder is used and marked."""
    (tmp_path / "locust-venv").mkdir()
    (tmp_path / "model.log").touch()
    with keepsake(tmp_path) as run:
        assert run.address
        run.program.process.terminate()
    assert (tmp_path / VERSION_FILE).exists()


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        pytest.param(DATABASE, None, "unknown", id="database without a version"),
        pytest.param(f"{REDIS_FOLDER}/file", None, "unknown", id="Redis files without a version"),
        pytest.param(DATABASE, "1\n", "1", id="older version"),
        pytest.param(DATABASE, "99", "99", id="newer version"),
        pytest.param("other", "1", "1", id="other version without data"),
        pytest.param(DATABASE, "", "unknown", id="empty version"),
    ],
)
def test_data_of_another_version_is_refused(
    tmp_path: Path, name: str, version: str | None, found: str
) -> None:
    """One line says that the data cannot be used and what to do, and the data is left alone."""
    stored = tmp_path / name
    stored.parent.mkdir(exist_ok=True)
    stored.write_bytes(b"old data")
    if version is not None:
        (tmp_path / VERSION_FILE).write_text(version)
    with keepsake(tmp_path) as run:
        assert run.program.wait() == 1
        assert run.program.error_output() == (
            f"keepsake: {tmp_path} has data of another version of Keepsake (layout {found}; "
            f"this one reads {LAYOUT}), which cannot be converted; "
            "delete the folder, or choose another with --data\n"
        )
    assert stored.read_bytes() == b"old data"
    assert not (tmp_path / "model.log").exists()
