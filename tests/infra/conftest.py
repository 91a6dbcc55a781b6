"""What the tests of infra/ share: a compiler, if there is one, and an app started with settings."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.bicep.compiler import INFRA, PINNED, Compiler, find_compiler, start_compiler
from shared.settings import Settings, load_settings

Started = Callable[[dict[str, str]], Settings]


@pytest.fixture(scope="session")
def compiler() -> Iterator[Compiler]:
    """The pinned compiler; a test that needs one is skipped where there is none."""
    path = find_compiler()
    if path is None:
        pytest.skip("SKIPPED: there is no Bicep compiler (BICEP=, or bicep on PATH)")
    with start_compiler(path) as running:
        if running.version() != PINNED:
            pytest.skip(f"SKIPPED: Bicep {running.version()} is not {PINNED}")
        yield running


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A copy of the templates, to plant faults in."""
    shutil.copytree(INFRA, tmp_path / "infra", ignore=shutil.ignore_patterns("*.py", "kusto"))
    return tmp_path / "infra"


@pytest.fixture
def started_with(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The settings of an app that is started with these variables and no others of ours."""

    def start(values: dict[str, str]) -> Settings:
        for name in Settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return start
