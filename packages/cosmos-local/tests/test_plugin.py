"""The pytest fixture, as a project that installs the package uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TEST = """
def test_an_account_is_there(cosmos_local):
    names = [database["id"] for database in cosmos_local.catalogue.databases()]
    assert names == {names}
"""


def run(folder: Path, text: str, ini: str = "") -> str:
    """Run one test file in a folder of its own."""
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
    others = ["-p", "no:valkey", "-p", "no:cacheprovider"]  # another plugin, which may not load
    command = [sys.executable, "-m", "pytest", "-q", *others]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout


def test_the_fixture_is_an_empty_account(tmp_path: Path) -> None:
    """Without a declaration, each test has an account in which it can create everything."""
    assert "1 passed" in run(tmp_path, TEST.format(names=[]))


def test_the_fixture_can_start_with_containers(tmp_path: Path) -> None:
    """The ini option names a declaration, relative to the project."""
    (tmp_path / "containers.json").write_text('{"database": "db", "containers": []}')
    ini = "cosmos_local_declaration = containers.json\n"
    assert "1 passed" in run(tmp_path, TEST.format(names=["db"]), ini)


def test_the_plugin_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    """A test run that does not ask for the fixture does not import the package."""
    text = "import sys\ndef test_it():\n    assert 'cosmos_local' not in sys.modules\n"
    assert "1 passed" in run(tmp_path, text)
