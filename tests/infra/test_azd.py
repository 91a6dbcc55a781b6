"""`azd` finds what it needs, and leaves a laptop with what it needs."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it brings no types

from infra.bicep import FOLDER
from infra.hooks import check_choices
from infra.hooks.write_local_settings import main, settings_for
from shared import __version__
from tests.infra.conftest import Started
from tests.infra.planting import SNAPSHOTS

ROOT = Path(__file__).resolve().parents[2]
MAIN = FOLDER.main.read_text()
DECLARED = dict(re.findall(r"^param (\w+) \w+(.*)$", MAIN, re.MULTILINE))
OUTPUTS = set(re.findall(r"^output (\w+) ", MAIN, re.MULTILINE))
PARAMETERS: dict[str, Any] = json.loads((ROOT / "infra" / "main.parameters.json").read_text())[
    "parameters"
]
VARIABLES = {parameter["value"].strip("${}") for parameter in PARAMETERS.values()}
AZURE_YAML = yaml.safe_load((ROOT / "azure.yaml").read_text())
FUNCTIONS = (ROOT / "function_app.py").read_text()
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())
DEPLOYED = {
    "COSMOS_ENDPOINT": "https://cosmos.documents.azure.com:443/",
    "COSMOS_DATABASE": "agent-memory",
    "REDIS_HOST": "redis.westeurope.redis.azure.net",
    "REDIS_PORT": "10000",
    "AZURE_OPENAI_ENDPOINT": "https://oai.openai.azure.com/",
    "CHAT_MODEL": "gpt-5.4-mini",
    "RECEIPT_KEY_URL": "https://kv.vault.azure.net/keys/erasure-receipts",
}


def test_every_parameter_can_be_set_and_every_setting_is_a_parameter() -> None:
    """main.parameters.json names the parameters of main.bicep, all of them and no other."""
    assert PARAMETERS.keys() == DECLARED.keys()


def test_every_parameter_comes_from_a_variable_of_its_own() -> None:
    """Nothing is fixed there: defaults stand in main.bicep, once."""
    variables = [
        re.fullmatch(r"\$\{([A-Z_]+)\}", parameter["value"]) for parameter in PARAMETERS.values()
    ]
    assert None not in variables
    assert len({match[1] for match in variables if match}) == len(PARAMETERS)


def test_azd_asks_for_no_more_than_it_must() -> None:
    """Name and region; everything else has a default."""
    asked = {name for name, default in DECLARED.items() if not default}
    assert asked == {"environmentName", "location"}


def test_no_output_feeds_a_parameter() -> None:
    """Outputs stay as variables: one that a parameter reads would outlive what the user sets."""
    assert {"AZURE_LOCATION"} == VARIABLES & OUTPUTS


def test_the_service_is_found_by_its_tag() -> None:
    """The code goes to the app that carries the service's name."""
    assert list(AZURE_YAML["services"]) == ["api"]
    [site] = SNAPSHOTS["default"].of("Microsoft.Web/sites")
    [group] = SNAPSHOTS["default"].of("Microsoft.Resources/resourceGroups")
    assert site.at("tags") == {"azd-env-name": "memory", "azd-service-name": "api"}
    assert group.at("tags") == {"azd-env-name": "memory"}
    assert AZURE_YAML["services"]["api"] == {
        "project": ".",
        "language": "python",
        "host": "function",
    }


def test_a_pipeline_deploys_what_was_chosen() -> None:
    """All choices go to GitHub, but for those that azd makes there itself."""
    ours = {
        "AZURE_ENV_NAME",
        "AZURE_LOCATION",
        "AZURE_PRINCIPAL_ID",
        "AZURE_PRINCIPAL_TYPE",
        "DEVELOPER_ACCESS",
    }
    assert set(AZURE_YAML["pipeline"]["variables"]) == VARIABLES - ours


def test_the_gallery_finds_what_it_looks_for() -> None:
    """The files and sections that a template of azd's gallery is looked at for."""
    files = "LICENSE SECURITY.md CONTRIBUTING.md CODE_OF_CONDUCT.md CHANGELOG.md test.http"
    places = [
        *files.split(),
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".devcontainer/devcontainer.json",
        ".github/workflows/azure-dev.yml",
        "infra/main.bicep",
    ]
    assert [place for place in places if not (ROOT / place).exists()] == []
    sections = set(re.findall(r"^## (.*)$", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert {
        "Features",
        "Getting Started",
        "Guidance",
        "Important Security Notice",
        "Resources",
    } <= sections


def test_the_template_has_the_version_of_the_project() -> None:
    """What azd reports is what is released."""
    assert AZURE_YAML["metadata"]["template"] == f"keepsake@{__version__}"


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_the_hooks_are_commands_of_a_shell(system: str) -> None:
    """Each runs an existing file from the root, and azd installs no project."""
    hooks = {name: hook[system] for name, hook in AZURE_YAML["hooks"].items()}
    assert {name: hook["shell"] for name, hook in hooks.items()} == dict.fromkeys(
        ("preprovision", "postprovision"), {"posix": "sh", "windows": "pwsh"}[system]
    )
    commands = [hook["run"].split() for hook in hooks.values()]
    assert {command[0] for command in commands} == {
        {"posix": "python3", "windows": "python"}[system]
    }
    scripts = {path for path in (ROOT / "infra" / "hooks").iterdir() if path.name != "__pycache__"}
    assert {ROOT / path for _, path in commands} == scripts


def test_a_choice_that_is_missing_ends_azd_and_a_laptop_s_file_does_not() -> None:
    """Incomplete choices stop everything; a failure to write local settings stops nothing."""
    environment = {"PATH": os.environ["PATH"]}
    command = AZURE_YAML["hooks"]["preprovision"]["posix"]["run"]
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "azd env set ENTRA_AUDIENCE" in done.stderr) == (1, True)
    after = AZURE_YAML["hooks"]["postprovision"]
    assert {after[system]["continueOnError"] for system in after} == {True}


@pytest.mark.parametrize(
    ("chosen", "missing"),
    [
        ({}, ["ENTRA_AUDIENCE"]),
        ({"ENTRA_AUDIENCE": ""}, ["ENTRA_AUDIENCE"]),
        ({"ENTRA_AUDIENCE": "api://x"}, []),
        ({"AUTH_MODE": "key"}, []),
        ({"AUTH_MODE": "key", "REDIS_MODE": "existing"}, ["EXISTING_REDIS_HOST"]),
        ({"AUTH_MODE": "key", "OPENAI_MODE": "existing"}, ["EXISTING_OPENAI_ENDPOINT"]),
    ],
)
def test_what_a_choice_needs_is_asked_for_before_anything_is_made(
    chosen: dict[str, str],
    missing: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody waits a quarter of an hour for an app that cannot start."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert check_choices.main() == (1 if missing else 0)
    assert re.findall(r"azd env set (\w+)", capsys.readouterr().err) == missing


def test_choices_are_those_of_the_templates() -> None:
    """The hook speaks of variables and defaults that exist."""
    names = {
        name for (choice, _), needed in check_choices.NEEDED.items() for name in (choice, needed)
    }
    assert names <= VARIABLES
    assert DECLARED["authMode"] == " = 'entra'"
    assert check_choices.DEFAULTS == {"AUTH_MODE": "entra"}


def test_another_cosmos_account_can_take_the_place_of_ours() -> None:
    """RESOURCE_NAMES names it; rights, addresses, logs and endpoints follow."""
    existing = SNAPSHOTS["existing"]
    [account] = existing.of("Microsoft.DocumentDB/databaseAccounts")
    assert account.name == "mycosmos"
    followers = [
        "Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments",
        "Microsoft.Insights/diagnosticSettings",
        "Microsoft.Network/privateEndpoints",
        "Microsoft.Web/sites/config",
    ]
    named = [
        any(account.id in json.dumps(each.body) for each in existing.of(it)) for it in followers
    ]
    assert named == [True] * 4


def test_a_private_endpoint_is_named_after_its_target() -> None:
    """An endpoint cannot be pointed elsewhere: another Cosmos DB account gets its own."""
    endpoints = SNAPSHOTS["existing"].of("Microsoft.Network/privateEndpoints")
    names = {endpoint.name for endpoint in endpoints}
    assert {"pe-mycosmos-Sql", "pe-mymemorystorage-blob"} <= names


@pytest.mark.parametrize("before", [{}, EXAMPLE["Values"]], ids=["nothing", "the example"])
def test_the_hook_writes_settings_the_app_starts_with(
    before: dict[str, str], started_with: Started
) -> None:
    """Whatever was there, what is written leads to Azure and is valid."""
    settings = started_with(settings_for(before, DEPLOYED))
    assert settings.cosmos_endpoint == DEPLOYED["COSMOS_ENDPOINT"]
    assert (settings.cosmos_key, settings.openai_base_url) == (None, None)
    assert settings.redis_tls


def test_the_hook_keeps_what_was_set_by_hand() -> None:
    """A setting that Azure does not decide stays; twice is harmless."""
    once = settings_for({"IDLE_MINUTES": "5"}, DEPLOYED)
    assert once["IDLE_MINUTES"] == "5"
    assert settings_for(once, DEPLOYED) == once


def test_the_hook_forgets_a_redis_that_is_gone() -> None:
    """After REDIS_MODE=none the laptop does without, too."""
    with_redis = settings_for({}, DEPLOYED)
    without = settings_for(with_redis, {**DEPLOYED, "REDIS_HOST": ""})
    assert {"REDIS_HOST", "REDIS_PORT"} & without.keys() == set()


def test_the_hook_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what `func start` reads, and holds no secret."""
    monkeypatch.setenv("COSMOS_ENDPOINT", DEPLOYED["COSMOS_ENDPOINT"])
    main(tmp_path)
    main(tmp_path)
    written = json.loads((tmp_path / "local.settings.json").read_text())
    assert written["IsEncrypted"] is False
    assert written["Values"]["COSMOS_ENDPOINT"] == DEPLOYED["COSMOS_ENDPOINT"]
    keys = {name: value for name, value in written["Values"].items() if name.endswith("KEY")}
    published = json.loads((ROOT / "local.settings.example.json").read_text())["Values"][
        "QUEUE_KEY"
    ]
    assert keys == {"QUEUE_KEY": published}  # Azurite's, which is no secret


@pytest.mark.parametrize(
    "before", ['\ufeff{"Values": {"IDLE_MINUTES": "5"}}', '{"Host": {"CORS": "*"}}']
)
def test_the_hook_reads_what_other_tools_write(before: str, tmp_path: Path) -> None:
    """A byte order mark, a file without values, and what stands beside them, which stays."""
    file = tmp_path / "local.settings.json"
    file.write_text(before, "utf-8")
    main(tmp_path)
    written = json.loads(file.read_text("utf-8"))
    once = json.loads(before.lstrip("\ufeff"))
    assert once.pop("Values", {}).items() <= written["Values"].items()
    assert once.items() <= written.items()


def test_a_laptop_leaves_the_data_of_others_to_the_deployed_timers() -> None:
    """No timer of the app runs on it, unless somebody wants it there."""
    timers = re.findall(r"timer_trigger\(.*?\)\s*(?:@.*?\n)*async def (\w+)", FUNCTIONS, re.DOTALL)
    assert len(timers) == 2
    names = {f"AzureWebJobs.{name}.Disabled" for name in timers}
    assert {settings_for({}, DEPLOYED)[name] for name in names} == {"true"}
    assert {settings_for(dict.fromkeys(names, "false"), DEPLOYED)[name] for name in names} == {
        "false"
    }


def test_the_dev_container_serves_what_the_readme_asks() -> None:
    """Its port is that of `make run`, and it has azd."""
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["forwardPorts"] == [7071]
    assert [feature for feature in container["features"] if feature.endswith("/azd:latest")]


def test_local_settings_are_never_committed() -> None:
    """Neither git nor the package takes them along."""
    assert "local.settings.json" in (ROOT / ".gitignore").read_text().splitlines()
    assert "local.settings*.json" in (ROOT / ".funcignore").read_text().splitlines()
