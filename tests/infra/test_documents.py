"""docs/deploy.md says of parameters and resources what the templates say."""

import json
import re
from pathlib import Path

import pytest

from infra.bicep import FOLDER
from infra.bicep.compiler import Compiler
from infra.bicep.folder import Folder
from infra.documents import compiled_parts, direct, generate, main, reached
from tests.infra.planting import ROOT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
VARIABLES = set(re.findall(r"\$\{(\w+)\}", (FOLDER.path / "main.parameters.json").read_text()))
MODULES = {path.stem for path in (FOLDER.path / "modules").glob("*.bicep")} - {"private-endpoint"}


def part(name: str) -> str:
    """A generated part of the document."""
    [found] = re.findall(rf"<!-- {name}: .*? -->\n\n(.*?)\n\n<!-- end of", DEPLOY, re.DOTALL)
    return str(found)


def test_the_document_is_generated_from_the_templates(compiler: Compiler) -> None:
    """`make docs` would change nothing."""
    assert generate(DEPLOY, compiled_parts(compiler, FOLDER)) == DEPLOY


def test_a_changed_description_makes_the_document_stale(
    compiler: Compiler, templates: Path
) -> None:
    """The table is read from the templates."""
    path = templates / "main.bicep"
    path.write_text(path.read_text().replace("Region of all resources.", "Region of everything."))
    assert generate(DEPLOY, compiled_parts(compiler, Folder(templates))) != DEPLOY


def test_a_new_dependency_makes_the_document_stale(compiler: Compiler, templates: Path) -> None:
    """The diagram is read from the templates."""
    path = templates / "main.bicep"
    source = path.read_text()
    path.write_text(
        source.replace("  dependsOn: [\n    redis\n  ]\n", "  dependsOn: [\n    bot\n  ]\n")
    )
    assert generate(DEPLOY, compiled_parts(compiler, Folder(templates))) != DEPLOY


def test_without_a_compiler_only_the_costs_are_generated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What a compiler is needed for is left as it is, and mentioned."""
    copy = tmp_path / "deploy.md"
    copy.write_text(DEPLOY)
    monkeypatch.setenv("BICEP", "")
    monkeypatch.setattr("infra.documents.DEPLOY", copy)
    assert main() == 0
    assert copy.read_text() == DEPLOY
    assert "SKIPPED" in capsys.readouterr().out


def test_every_variable_has_a_row() -> None:
    """What can be chosen is documented, and nothing else."""
    assert set(re.findall(r"^\| `(\w+)` \|", part("parameters"), re.MULTILINE)) == VARIABLES


def test_every_parameter_says_what_it_changes_and_costs() -> None:
    """A description is a sentence about the effect, and one that starts with `Cost:`."""
    rows = [row.split(" | ")[-1] for row in part("parameters").splitlines()[2:]]
    assert [
        row for row in rows if not re.fullmatch(r"[A-Z][^|]{20,}\. Cost: [^|]+\. \|", row)
    ] == []


def test_the_diagram_has_every_module() -> None:
    """Whoever looks at it sees all that is deployed."""
    assert set(re.findall(r"<b>([\w-]+)</b>", part("resources"))) == MODULES


def test_rights_come_before_the_app_and_do_not_wait_for_what_is_slow() -> None:
    """Rights propagate for minutes: the essential ones do so while Redis is created."""
    graph: dict[str, set[str]] = {}
    for source, target in re.findall(r"^    (\w+) --> (\w+)$", part("resources"), re.MULTILINE):
        graph.setdefault(target, set()).add(source)
        graph.setdefault(source, set())
    assert {"access", "accessOptional", "privateEndpoints"} <= reached(graph, "app")
    assert reached(graph, "access") == {"identity", "storage", "cosmos", "vault", "monitoring"}
    assert {"redis", "openAi", "search"} <= reached(graph, "accessOptional")


def test_the_diagram_has_no_arrow_that_others_imply() -> None:
    """A -> b -> c needs no a -> c."""
    graph = {"c": {"a", "b"}, "b": {"a"}, "a": set[str]()}
    assert direct(graph, "c") == {"b"}


def test_the_quota_that_azd_looks_for_is_the_quota_that_is_taken() -> None:
    """The regions that azd offers have room for the default models."""
    main_bicep = FOLDER.main.read_text()
    for model in ("chat", "embedding"):
        [name] = re.findall(rf"param {model}Model string = '(.*)'", main_bicep)
        [size] = re.findall(rf"param {model}Capacity int = (\d+)", main_bicep)
        assert f"'OpenAI.GlobalStandard.{name},{size}'" in main_bicep


def test_descriptions_name_variables_that_exist() -> None:
    """A hint at another variable leads somewhere."""
    settings = {"SUMMARISE_SCHEDULE", "RETENTION_DAYS"}
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})`", part("parameters")))
    assert named <= VARIABLES | settings


def test_the_names_that_can_be_replaced_are_all_names(compiler: Compiler) -> None:
    """RESOURCE_NAMES takes each name that main.bicep decides."""
    compiled = json.loads(compiler.ask("compile", path=str(FOLDER.main))["contents"])
    offered = compiled["definitions"]["resourceNames"]["properties"].keys()
    assert offered == compiled["variables"]["nameOf"].keys()
