"""The workflows run what the documents say, with no more rights than they need."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it brings no types

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOADED: dict[str, Any] = {path.stem: yaml.safe_load(path.read_text()) for path in WORKFLOWS}
OF_THIS_COMMIT = "$/.github/workflows/test.yml"
INSTALL = 'az bicep install --version "v$(cat infra/bicep-version)"'
JOBS = [(stem, name) for stem, workflow in LOADED.items() for name in workflow["jobs"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    """A tag can be moved to other code, a commit cannot."""
    used = [
        use for use in re.findall(r"uses: (\S+)(.*)", path.read_text()) if use[0] != OF_THIS_COMMIT
    ]
    assert used
    assert [
        use
        for use in used
        if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", use[0]) or " # v" not in use[1]
    ] == []


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_has_only_the_rights_it_names(workflow: str, job: str) -> None:
    """No right by default; reading, and signing in to Azure where a job does; a time limit."""
    assert LOADED[workflow]["permissions"] == {}
    rights = LOADED[workflow]["jobs"][job]["permissions"]
    assert rights.items() <= {("contents", "read"), ("id-token", "write")}
    written = LOADED[workflow]["jobs"][job]
    assert ("id-token" in rights) == (
        "azd auth login" in str(written) or "Azure/login" in str(written)
    )
    assert ("timeout-minutes" in written) != (written.get("uses") == OF_THIS_COMMIT)
    assert written.get("timeout-minutes", 0) <= 60


def test_the_tests_are_run_as_the_readme_says() -> None:
    """CI has no recipe of its own; it installs the pinned compiler, so that nothing is skipped."""
    steps = LOADED["test"]["jobs"]["test"]["steps"]
    runs = [step for step in steps if "run" in step]
    assert [step["run"] for step in runs] == [INSTALL, "make test"]
    assert runs[1]["env"] == {"BICEP": "/home/runner/.azure/bin/bicep"}  # where az puts it


@pytest.mark.parametrize("workflow", ["test", "what-if"])
def test_every_workflow_uses_the_pinned_compiler(workflow: str) -> None:
    """The version is written in infra/bicep-version and nowhere else."""
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yml").read_text()
    assert text.count("bicep install") == text.count(INSTALL) == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def test_azure_is_reached_without_a_secret(path: Path) -> None:
    """Signing in is by federation; no workflow reads a secret."""
    text = path.read_text()
    assert text.count("azd auth login") == text.count(
        "azd auth login --federated-credential-provider github"
    )
    assert "client-secret" not in text
    assert "creds:" not in text
    assert "secrets." not in text


def test_nothing_is_deployed_that_was_not_tested() -> None:
    """What is pushed to main is deployed by the run that tested it, once its tests have passed."""
    assert LOADED["azure-dev"]["jobs"]["test"]["uses"] == OF_THIS_COMMIT
    deploy = LOADED["azure-dev"]["jobs"]["deploy"]
    assert "azd deploy" in str(deploy)
    assert deploy["needs"] == "test"
    assert (
        deploy["if"] == "vars.AZURE_CLIENT_ID != ''"
    )  # anything like always() would set the tests aside
    assert "ref" not in deploy["steps"][0]["with"]
    assert set(LOADED["test"][True]) == {"pull_request", "workflow_call"}


def test_deployments_come_one_after_the_other_in_the_order_of_pushes() -> None:
    """A run waits for the one before it, tests included, and nothing cancels a deployment."""
    assert LOADED["azure-dev"]["concurrency"] == {"group": "deploy", "cancel-in-progress": False}
    alone = "github.event_name == 'pull_request' && github.ref || github.run_id"
    assert alone in LOADED["test"]["concurrency"]["group"]


def test_what_nobody_has_reviewed_runs_as_nobody_who_could_deploy() -> None:
    """A pull request signs in as the identity that may read and preview, never as the other."""
    text = (ROOT / ".github" / "workflows" / "what-if.yml").read_text()
    assert "vars.AZURE_PREVIEW_CLIENT_ID != ''" in LOADED["what-if"]["jobs"]["preview"]["if"]
    assert "client-id: ${{ vars.AZURE_PREVIEW_CLIENT_ID }}" in text
    assert "AZURE_CLIENT_ID" not in text
    assert "azd " not in re.sub("#.*", "", text)  # its preview wants the rights to write


@pytest.mark.skipif(not shutil.which("jq"), reason="GitHub's runners have jq, this machine has not")
def test_a_preview_is_given_what_a_deployment_is_given(tmp_path: Path) -> None:
    """Each variable that is set becomes its parameter, with any characters; others are left out."""
    az = tmp_path / "az"
    az.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    az.chmod(0o755)
    variables = {
        "AZURE_ENV_NAME": "memory",
        "KEEPSAKE_SETTINGS": '{"A": "b = $c"}',
        "ALERT_EMAIL": "",
        "OTHER": "x",
    }
    given = {
        "VARIABLES": json.dumps(variables),
        "LOCATION": "westeurope",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }
    script = LOADED["what-if"]["jobs"]["preview"]["steps"][-1]["run"]
    said = subprocess.check_output(
        ["bash", "-ec", script], cwd=ROOT, env=given, text=True
    ).splitlines()
    assert said[said.index("--parameters") + 1 :] == [
        "environmentName=memory",
        'settings={"A": "b = $c"}',
    ]
    assert said[said.index("--validation-level") + 1] == "ProviderNoRbac"


def test_what_the_workflows_sign_in_as_is_federated() -> None:
    """A branch and pull requests are federated; a job of an environment would be somebody else."""
    assert [
        name for workflow, name in JOBS if "environment" in LOADED[workflow]["jobs"][name]
    ] == []
    assert set(LOADED["azure-dev"][True]) == {
        "workflow_dispatch",
        "push",
    }  # YAML takes `on` for true
    assert LOADED["azure-dev"][True]["push"]["branches"] == ["main"]
    assert set(LOADED["what-if"][True]) == {"pull_request"}


def test_a_fork_cannot_reach_azure() -> None:
    """Somebody else's pull request is never given an identity."""
    assert "head.repo.full_name == github.repository" in LOADED["what-if"]["jobs"]["preview"]["if"]
