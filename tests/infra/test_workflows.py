"""The workflows run what the documents say, with no more rights than they need."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it brings no types

from infra.check.scan import REASONS

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOADED: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text()) for path in WORKFLOWS}
JOBS = [(stem, name) for stem, workflow in LOADED.items() for name in workflow["jobs"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    """A tag can be moved to other code, a commit cannot."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    assert [use for use in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", use[0]) or " # v" not in use[1]] == []


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_has_only_the_rights_it_names(workflow: str, job: str) -> None:
    """No right by default; reading, and signing in to Azure where a job does; a time limit."""
    assert LOADED[workflow]["permissions"] == {}
    rights = LOADED[workflow]["jobs"][job]["permissions"]
    assert rights.items() <= {("contents", "read"), ("id-token", "write")}
    assert ("id-token" in rights) == ("azd auth login" in str(LOADED[workflow]["jobs"][job]))
    assert LOADED[workflow]["jobs"][job]["timeout-minutes"] <= 60


def test_the_tests_are_run_as_the_readme_says() -> None:
    """CI has no recipe of its own."""
    steps = LOADED["test"]["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["make test"]


def test_the_compiler_itself_is_run() -> None:
    """What cannot be checked offline is checked there: build and lint."""
    steps = str(LOADED["test"]["jobs"]["bicep"]["steps"])
    assert "az bicep build --file infra/main.bicep" in steps
    assert "az bicep lint --file infra/main.bicep" in steps


@pytest.mark.parametrize(("workflow", "command"), [("what-if", "azd provision --preview"), ("azure-dev", "azd deploy")])
def test_azure_is_reached_without_a_secret(workflow: str, command: str) -> None:
    """Signing in is by federation; no workflow reads a secret."""
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text()
    assert command in text
    assert "--federated-credential-provider github" in text
    assert "secrets." not in text


def test_azd_has_federated_what_the_workflows_sign_in_as() -> None:
    """`azd pipeline config` federates a branch and pull requests; a job of an environment would be somebody else."""
    assert [name for workflow, name in JOBS if "environment" in LOADED[workflow]["jobs"][name]] == []
    assert set(LOADED["azure-dev"][True]) == {"workflow_dispatch", "push"}  # YAML takes `on` for true
    assert LOADED["azure-dev"][True]["push"]["branches"] == ["main"]
    assert set(LOADED["what-if"][True]) == {"pull_request"}


def test_a_fork_cannot_reach_azure() -> None:
    """Somebody else's pull request is never given an identity."""
    assert "head.repo.full_name == github.repository" in LOADED["what-if"]["jobs"]["preview"]["if"]


def test_each_skipped_check_has_a_reason() -> None:
    """A scanner is contradicted in a sentence or not at all."""
    assert [check for check, reason in REASONS.items() if len(reason) < 20 or not check.startswith("CKV")] == []
