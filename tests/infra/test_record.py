"""Without a compiler, stale and edited snapshots are still found."""

import subprocess
import sys
from pathlib import Path

import pytest

from infra.bicep import FOLDER
from infra.bicep.folder import Folder
from infra.bicep.templates import check_templates
from tests.infra.planting import ROOT


@pytest.fixture(autouse=True)
def _without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICEP", "")


def test_the_snapshots_are_those_of_the_templates(capsys: pytest.CaptureFixture[str]) -> None:
    """What is committed belongs together, and the missing compiler is mentioned."""
    assert list(check_templates(FOLDER)) == []
    assert "SKIPPED" in capsys.readouterr().out


@pytest.mark.parametrize(
    "file",
    [
        "main.bicep",
        "modules/redis.bicep",
        "types.bicep",
        "containers.json",
        "bicepconfig.json",
        "variants/private.bicepparam",
        "variants/private.snapshot.json",
    ],
)
def test_a_changed_file_is_found(templates: Path, file: str) -> None:
    """Templates, everything that they load, parameters and the snapshots themselves."""
    path = templates / file
    path.write_text(path.read_text() + "\n")
    found = list(check_templates(Folder(templates)))
    assert found == [f"{file} is not what the snapshots were made with: run `make snapshots`"]


@pytest.mark.parametrize("file", ["modules/bot.bicep", "variants/private.snapshot.json"])
def test_a_missing_file_is_found(templates: Path, file: str) -> None:
    """A module, or a snapshot."""
    (templates / file).unlink()
    assert any(finding.startswith(file) for finding in check_templates(Folder(templates)))


def test_a_snapshot_of_no_variant_is_found(templates: Path) -> None:
    """It would be checked for ever, and describe nothing."""
    (templates / "variants" / "private.bicepparam").unlink()
    found = list(check_templates(Folder(templates)))
    assert "private.snapshot.json belongs to no variant: delete it" in found


def test_another_pinned_version_makes_the_snapshots_stale(templates: Path) -> None:
    """Whoever pins another compiler makes the snapshots with it."""
    record = templates / "variants" / "record.json"
    record.write_text(record.read_text().replace('"compiler": "0.', '"compiler": "9.'))
    [finding] = check_templates(Folder(templates))
    assert finding.startswith("compiler ")


def test_a_finding_fails_the_check() -> None:
    """A compiler that cannot be started is a finding, not a reason to pass."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.check"],
        cwd=ROOT,
        env={"BICEP": "/nowhere/bicep"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "/nowhere/bicep" in done.stderr


def test_git_and_reviewers_know_that_snapshots_are_generated() -> None:
    """They are collapsed in pull requests."""
    attributes = (ROOT / ".gitattributes").read_text()
    assert "infra/variants/*.snapshot.json linguist-generated" in attributes
