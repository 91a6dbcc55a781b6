"""What the tests of infra/ share: a file with one change in it, and what the checks say of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.check.bicep import parse
from infra.check.finding import Finding
from infra.check.run import check_file
from shared.settings import Settings, load_settings

INFRA = Path(__file__).resolve().parents[2] / "infra"
Started = Callable[[dict[str, str]], Settings]
Said = Callable[[str, str, str], list[Finding]]


@pytest.fixture
def said_of() -> Said:
    """Check a file of infra/ in which one text is replaced by another."""

    def check(name: str, right: str, wrong: str) -> list[Finding]:
        path = INFRA / name
        source = path.read_text()
        assert right in source
        return list(check_file(parse(path, source.replace(right, wrong, 1).encode())))

    return check


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
