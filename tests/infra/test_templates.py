"""The compiler's verdict is passed on, and the variants exercise the templates."""

import re
from pathlib import Path

import pytest

from infra.bicep import FOLDER
from infra.bicep.compiler import PINNED, Compiler, CompilerError, start_compiler
from infra.bicep.folder import Folder
from infra.bicep.templates import compare, other_version
from tests.infra.conditions import outcomes
from tests.infra.planting import ROOT

REDIS, STORAGE, MAIN = "modules/redis.bicep", "modules/storage.bicep", "main.bicep"
MISTAKES = {
    "a missing brace": (REDIS, "  tags: tags\n  sku", "  tags: {\n  sku", "error"),
    "a type that does not exist": (REDIS, "redisEnterprise@", "managedRedis@", "BCP081"),
    "a misspelt property": (STORAGE, "accessTier", "accesTier", "BCP089"),
    "a value that does not exist": (STORAGE, "kind: 'StorageV2'", "kind: 'StorageV9'", "StorageV9"),
    "text for a number": (REDIS, "port: 10000", "port: '10000'", "BCP036"),
    "a missing parameter": (MAIN, "    workspaceName: nameOf.logAnalytics\n", "", "BCP035"),
    "an undefined name": (MAIN, "openAiName: openAiName", "openAiName: openAiNme", "BCP057"),
    "a name that does not exist": (MAIN, "nameOf.redis", "nameOf.reddis", "BCP083"),
    "lint": (
        STORAGE,
        "param location string\n",
        "param location string\nparam x string\n",
        "no-unused",
    ),
    "a secret in an output": (
        "modules/vault.bicep",
        "secrets/${digestSecret.name})'",
        "secrets/${digestKey})'",
        "outputs-should-not-contain-secrets",
    ),
    "an old API version": (STORAGE, "Accounts@2026-09-01", "Accounts@2025-06-01", "use-recent-api"),
    "a preview that is cut short": (
        MAIN,
        "    redisName: redisName\n    oldest",
        "    redisName: identity.outputs.clientId\n    oldest",
        "what-if-short-circuiting",
    ),
    "a file that is not formatted": (
        STORAGE,
        "  kind: 'StorageV2'",
        "   kind:   'StorageV2'",
        "format",
    ),
}


@pytest.mark.parametrize(("file", "right", "wrong", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_template_is_reported(
    compiler: Compiler, templates: Path, file: str, right: str, wrong: str, said: str
) -> None:
    """Errors, warnings and lint are findings, and so is format."""
    for each in {*Folder(templates).parameter_files()} - {
        templates / "variants/minimal.bicepparam"
    }:
        each.unlink()
    assert said in "\n".join(plant(compiler, templates, file, right, wrong))


def test_a_changed_property_is_reported_with_both_values(
    compiler: Compiler, templates: Path
) -> None:
    """Variant, resource, property, old value, new value; and what is out of date."""
    found = plant(
        compiler, templates, REDIS, "minimumTlsVersion: '1.2'", "minimumTlsVersion: '1.3'"
    )
    resource = "Microsoft.Cache/redisEnterprise/amr-"
    changes = [finding for finding in found if resource in finding]
    assert [change.partition(":")[0] for change in changes] == [
        "default",
        "development",
        "private",
        "production",
    ]
    assert changes[0].endswith(": properties.minimumTlsVersion: '1.2' => '1.3'")
    assert found[len(changes) :] == [
        f"{REDIS} is not what the snapshots were made with: run `make snapshots`"
    ]


def test_a_variant_that_cannot_be_deployed_is_reported(compiler: Compiler, templates: Path) -> None:
    """A misspelt parameter is named with its file and line."""
    found = plant(compiler, templates, "variants/minimal.bicepparam", "redisMode", "redisMod")
    assert any(re.match(r"minimal\.bicepparam:\d+: error BCP259", each) for each in found)


def test_every_condition_goes_both_ways(compiler: Compiler, tmp_path: Path) -> None:
    """No condition of any template has the same outcome in every variant."""
    found = outcomes(compiler, FOLDER, tmp_path)
    assert len(found) > 50
    one_way = {name: ways for name, ways in found.items() if ways != {"True", "False"}}
    assert one_way == {}


def test_a_condition_that_no_variant_takes_is_found(
    compiler: Compiler, templates: Path, tmp_path: Path
) -> None:
    """A branch that nothing exercises is reported by its expression."""
    path = templates / MAIN
    planted = path.read_text().replace(
        "redisMode == 'none'\n", "redisMode == 'none' && botEnabled\n"
    )
    path.write_text(planted)
    found = outcomes(compiler, Folder(templates), tmp_path)
    one_way = [name for name, ways in found.items() if ways != {"True", "False"}]
    assert one_way == [
        "main: and(equals(parameters('redisMode'), 'none'), parameters('botEnabled'))"
    ]


def test_another_version_is_reported_as_such(tmp_path: Path) -> None:
    """Snapshots of another compiler may differ, which says nothing about the templates."""
    program = tmp_path / "bicep"
    body = '{"jsonrpc": "2.0", "id": 1, "result": {"version": "0.1.2"}}'
    program.write_text(f"#!/bin/sh\nprintf 'Content-Length: {len(body)}\\r\\n\\r\\n{body}'\ncat\n")
    program.chmod(0o755)
    with start_compiler(str(program)) as other:
        assert f"Bicep 0.1.2 is not {PINNED}" in str(other_version(other))


def test_a_compiler_that_ends_is_reported(tmp_path: Path) -> None:
    """Nothing waits for it."""
    program = tmp_path / "bicep"
    program.write_text("#!/bin/sh\nread line\nexit 3\n")
    program.chmod(0o755)
    with start_compiler(str(program)) as other, pytest.raises(CompilerError):
        other.version()


def test_every_linter_rule_is_an_error() -> None:
    """Exceptions are comments that give a reason, where they apply."""
    lines = (ROOT / "infra" / "bicepconfig.json").read_text().splitlines()
    rules = [line for line in lines if '"level":' in line]
    assert len(rules) == 44
    assert [line for line in rules if '"level": "error"' not in line] == []
    disabled = [
        line
        for path in FOLDER.bicep_files()
        for line in path.read_text().splitlines()
        if "#disable" in line
    ]
    assert [
        line for line in disabled if "#disable-next-line" not in line or " // " not in line
    ] == []


def plant(compiler: Compiler, templates: Path, file: str, right: str, wrong: str) -> list[str]:
    """What is reported when one text of a file is replaced by another."""
    path = templates / file
    source = path.read_text()
    assert right in source
    path.write_text(source.replace(right, wrong, 1))
    return list(compare(compiler, Folder(templates)))
