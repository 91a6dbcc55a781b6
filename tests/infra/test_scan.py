"""What zizmor finds in the workflows fails the check, and a missing zizmor is mentioned."""

from pathlib import Path

import pytest

from infra.scan import scan_workflows

WORKFLOW = """
on: pull_request_target
permissions: {}
jobs:
  greet:
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    timeout-minutes: 5
    steps:
      - run: echo "${{ github.event.pull_request.title }}"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program in uv's place; tests write what it does."""
    path = tmp_path / "uv"
    path.touch(0o755)
    return path


def test_a_finding_fails(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the scanner says is passed on."""
    program.write_text("#!/bin/sh\ncase $* in *--version*) exit 0;; esac\necho unpinned; exit 13\n")
    assert scan_workflows(uv=program) == 1
    assert "unpinned" in capsys.readouterr().err


def test_a_scanner_that_cannot_be_installed_is_mentioned(
    program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a network the rest goes on, and says what was left out."""
    program.write_text("#!/bin/sh\nexit 2\n")
    assert scan_workflows(uv=program) == 0
    assert "SKIPPED" in capsys.readouterr().out


def test_the_scanner_finds_what_nothing_else_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text of a pull request in a script, and a trigger that gives strangers rights (ADR 21)."""
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "greet.yml").write_text(WORKFLOW)
    code = scan_workflows(tmp_path / ".github")
    said = capsys.readouterr()
    if "SKIPPED" in said.out:
        pytest.skip(said.out)
    assert code == 1
    assert "template-injection" in said.err
    assert "dangerous-triggers" in said.err
