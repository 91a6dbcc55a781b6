"""docs/deploy.md says what infra/ does."""

import json
import re
from pathlib import Path

import pytest

from infra.bicep import FOLDER
from infra.check.rights import ROLES
from shared.http.principal import ACT_ON_BEHALF
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "deploy.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
MAIN = FOLDER.main.read_text()
OUTPUTS = set(re.findall(r"^output (\w+) ", MAIN, re.MULTILINE))
[NOT_YET] = re.findall(r"Deployed, but not used by the app yet: (.*?)\n\n", DOC, re.DOTALL)
REGISTRATION = json.loads((ROOT / "infra" / "app-registration.json").read_text())
VARIABLES = set(re.findall(r"\$\{(\w+)\}", (ROOT / "infra" / "main.parameters.json").read_text()))


def test_every_variable_the_text_sets_exists() -> None:
    """A command that is pasted does something."""
    used = set(re.findall(r"azd env set ([A-Z_]+)", DOC + OPERATIONS)) | set(
        re.findall(r"`([A-Z_]{4,})=", DOC)
    )
    assert used - VARIABLES == {"NAME"}


def test_every_value_the_text_reads_is_an_output() -> None:
    """A command that asks azd for a value gets one."""
    assert set(re.findall(r"get-value (\w+)", DOC)) - OUTPUTS == set()


@pytest.mark.parametrize("name", ["chatModelVersion", "chatModel", "embeddingModel"])
def test_the_models_that_retire_are_those_deployed(name: str) -> None:
    """The dates belong to the defaults of main.bicep."""
    default = re.search(rf"^param {name} string = '(.*)'", MAIN, re.MULTILINE)
    assert default
    assert default[1] in DOC[DOC.index("**Models retire.**") :]


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("EMBEDDING_MODEL", "the embedding deployment"),
        ("AZURE_SEARCH_ENDPOINT", "AI Search"),
        ("RECEIPT_KEY_URL", "the key for receipts"),
    ],
)
def test_what_nothing_uses_yet_is_called_so(output: str, named: str) -> None:
    """Whoever pays for a resource knows whether the app reads its address."""
    assert output in OUTPUTS
    assert (named in NOT_YET) == (output.lower() not in Settings.model_fields)


def test_what_the_bot_calls_is_served_or_missed_aloud() -> None:
    """An Azure Bot whose messages nobody takes is not offered in silence."""
    called = re.findall(r"hostName\}(/api/\w+)'", MAIN)
    served = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    assert [path in served or f"`{path}`" in NOT_YET for path in called] == [True]


def test_a_role_is_called_by_the_same_number_everywhere() -> None:
    """A right that is pasted from the text is one that the templates give to what they make."""
    numbers = set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", DOC))
    assert numbers
    assert numbers <= ROLES.keys()


def test_the_identity_of_previews_may_only_read_and_ask() -> None:
    """A pull request can do whatever its identity can, so the documented role writes nothing."""
    [role] = [json.loads(role) for role in re.findall(r"--role-definition '(.*?)'", DOC, re.DOTALL)]
    asked = {
        f"Microsoft.Resources/deployments/{question}/action" for question in ("validate", "whatIf")
    }
    assert set(role["Actions"]) == {"*/read", *asked}
    assert {"Microsoft.Insights/logs/*", "Microsoft.Web/sites/hostruntime/*"} <= set(
        role["NotActions"]
    )
    previews = re.findall(r'--assignee "\$PREVIEW" --role "(.*?)"', DOC)
    assert previews == [role["Name"]]


def test_the_app_registration_is_what_the_code_checks() -> None:
    """Tokens of the second version, a scope for people, the role for apps."""
    assert REGISTRATION["api"]["requestedAccessTokenVersion"] == 2
    assert [scope["isEnabled"] for scope in REGISTRATION["api"]["oauth2PermissionScopes"]] == [True]
    assert ACT_ON_BEHALF in {role["value"] for role in REGISTRATION["appRoles"]}


@pytest.mark.parametrize(
    "name", ["docs/deploy.md", "SECURITY.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md"]
)
def test_links_lead_somewhere(name: str) -> None:
    """Each file that is linked to, or named as one, is there."""
    source = (ROOT / name).read_text()
    links = [
        (ROOT / name).parent / link
        for link in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)\)", source)
    ]
    named = [
        ROOT / path
        for path in re.findall(r"`((?:infra|tests|docs|shared|local)/[\w./-]+)`", source)
    ]
    assert [str(path) for path in links + named if not path.exists()] == []
