"""Which way every condition of the compiled templates goes, as the compiler itself evaluates it."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.bicep.compiler import Compiler
from infra.bicep.folder import Folder

PROBE = "probe"
GROUP = {"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2025-04-01"}
IDENTITY = {
    "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "apiVersion": "2024-11-30",
}
TOKEN = re.compile(r"'(?:[^']|'')*'|\b(if|coalesce)\(|[(),\[\]{}]")


def outcomes(compiler: Compiler, folder: Folder, scratch: Path) -> dict[str, set[str]]:
    """The values of each condition over all variants.

    Each template gets one more resource, whose tags are its conditions; snapshots evaluate them.
    """
    compiled = json.loads(compiler.ask("compile", path=str(folder.main))["contents"])
    instrument(compiled, "main", GROUP)
    (scratch / "main.json").write_text(json.dumps(compiled))
    found: dict[str, set[str]] = defaultdict(set)
    for parameters in folder.parameter_files():
        copied = Path(shutil.copy(parameters, scratch))
        copied.write_text(copied.read_text().replace("'../main.bicep'", "'./main.json'"))
        for resource in json.loads(compiler.snapshot(copied))["predictedResources"]:
            if resource["name"].startswith(PROBE):
                for condition, value in resource["tags"].items():
                    found[condition].add(value)
    return found


def instrument(template: dict[str, Any], name: str, kind: dict[str, str]) -> None:
    """Add a probe to a template and to every template inside it."""
    resources = template["resources"]
    symbols = resources.items() if isinstance(resources, dict) else enumerate(resources)
    nested = {
        str(symbol): resource["properties"]["template"]
        for symbol, resource in symbols
        if resource["type"] == "Microsoft.Resources/deployments"
    }
    tags = {f"{name}: {condition}": f"[string({condition})]" for condition in conditions(template)}
    for symbol, inner in nested.items():
        instrument(inner, symbol, IDENTITY)
    if tags:
        probe = {**kind, "name": f"{PROBE}-{name}", "location": "westeurope", "tags": tags}
        if isinstance(resources, dict):
            resources[PROBE] = probe
        else:
            resources.append(probe)


def conditions(template: dict[str, Any]) -> set[str]:
    """Every condition in a template: of resources, of `if` and of `coalesce`."""
    return {condition for text in _texts(template) for condition in _conditions_in(text)} | {
        str(resource["condition"])[1:-1]
        for resource in _resources(template)
        if "condition" in resource
    }


def _resources(template: dict[str, Any]) -> list[dict[str, Any]]:
    resources = template["resources"]
    return list(resources.values() if isinstance(resources, dict) else resources)


def _texts(value: Any) -> Iterator[str]:
    """Expressions of a template, without those of the templates inside it."""
    if isinstance(value, str):
        yield value if value.startswith("[") else ""
    elif isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            if key != "template":
                yield from _texts(part)


def _conditions_in(expression: str) -> Iterator[str]:
    for match in TOKEN.finditer(expression):
        if match[1]:
            argument = _first_argument(expression, match.end())
            yield argument if match[1] == "if" else f"equals({argument}, null())"


def _first_argument(expression: str, start: int) -> str:
    depth = 0
    for match in TOKEN.finditer(expression, start):
        token = match[0]
        if token.endswith(("(", "[", "{")):
            depth += 1
        elif depth == 0 and token == ",":
            return expression[start : match.start()].strip()
        elif token in ")]}":
            depth -= 1
    raise ValueError(expression)
