"""Other people's scanners are believed, contradicted with a reason, or missed aloud."""

import json
from pathlib import Path

import pytest

from infra.check import scan


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in uv's place; tests write what it does."""
    program = tmp_path / "uv"
    monkeypatch.setattr(scan, "UV", program)
    return program


def write(program: Path, body: str) -> None:
    """Make the program."""
    program.write_text(f"#!/bin/sh\ncase $* in *--version*) exit 0;; esac\n{body}\n")
    program.chmod(0o755)


def report(failed: list[str], unreadable: int = scan.UNREADABLE) -> str:
    """A report as checkov prints it."""
    checks = [{"check_id": check} for check in failed]
    return json.dumps(
        {
            "results": {"failed_checks": checks},
            "summary": {"passed": 30, "parsing_errors": unreadable},
        }
    )


def test_what_has_a_reason_passes(tool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Known findings, and no others, are fine."""
    write(tool, f"echo '{report(list(scan.REASONS))}'")
    assert scan.scan_templates() == 0
    assert f"{len(scan.REASONS)} with a reason" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "because"),
    [
        (report([*scan.REASONS, "CKV_AZURE_3"]), "CKV_AZURE_3 fails"),
        (report(list(scan.REASONS)[1:]), "no longer fails: delete its reason"),
        (report(list(scan.REASONS), unreadable=5), "5 files cannot be parsed"),
    ],
    ids=["a new finding", "a stale reason", "a file passed over"],
)
def test_anything_else_fails(
    tool: Path, capsys: pytest.CaptureFixture[str], said: str, because: str
) -> None:
    """A new finding, a reason that is no longer one, a file that is silently skipped."""
    write(tool, f"echo '{said}'")
    assert scan.scan_templates() == 1
    assert because in capsys.readouterr().out


def test_a_workflow_with_a_finding_fails(tool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What zizmor says is passed on."""
    write(tool, "echo 'unpinned-uses'; exit 13")
    assert scan.scan_workflows() == 1
    assert "unpinned-uses" in capsys.readouterr().out


def test_a_scanner_that_cannot_be_installed_is_missed_aloud(
    tool: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a network the rest goes on, and says what was left out."""
    tool.write_text("#!/bin/sh\nexit 2\n")
    tool.chmod(0o755)
    assert scan.main() == 0
    assert capsys.readouterr().out.count("SKIPPED") == 2
