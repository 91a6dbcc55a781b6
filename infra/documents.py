"""`python -m infra.documents`: write the parts of docs/deploy.md that come from the templates."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.bicep import FOLDER
from infra.bicep.compiler import Compiler, find_compiler, start_compiler
from infra.bicep.folder import Folder
from infra.bicep.templates import other_version
from infra.costs import tables

DEPLOY = Path(__file__).resolve().parents[1] / "docs" / "deploy.md"
SKIPPED = (
    "SKIPPED: there is no Bicep compiler, so docs/deploy.md keeps its table of parameters and its "
    "diagram. CONTRIBUTING.md says how to get one.\n"
)
Graph = Mapping[str, set[str]]  # what each module waits for


def generate(document: str, parts: Mapping[str, str]) -> str:
    """The document with its generated parts renewed. Idempotent.

    Raises:
        ValueError: a marker is missing.
    """
    for name, content in parts.items():
        begin, end = (
            f"<!-- {name}: written by `make docs` from infra/ -->",
            f"<!-- end of {name} -->",
        )
        head, rest = document.split(begin)
        _, tail = rest.split(end)
        document = f"{head}{begin}\n\n{content}\n\n{end}{tail}"
    return document


def compiled_parts(compiler: Compiler, folder: Folder) -> dict[str, str]:
    """The parts that are made from the templates."""
    return {
        "resources": resource_graph(compiler, folder),
        "parameters": parameter_table(compiler, folder),
    }


def parameter_table(compiler: Compiler, folder: Folder) -> str:
    """One row per azd variable: its default and values, what it changes and what it costs."""
    variables = json.loads((folder.path / "main.parameters.json").read_text())["parameters"]
    compiled = json.loads(compiler.ask("compile", path=str(folder.main))["contents"])
    rows = [
        f"| `{variables[name]['value'].strip('${}')}` | {_values(compiled['parameters'][name])} "
        f"| {parameter['description']} |"
        for parameter in compiler.ask("getMetadata", path=str(folder.main))["parameters"]
        for name in [parameter["name"]]
    ]
    heads = ["| variable | default, or other values | what it changes, and what it costs |"]
    return "\n".join([*heads, "| --- | --- | --- |", *rows])


def resource_graph(compiler: Compiler, folder: Folder) -> str:
    """The modules of main.bicep in the order in which Azure deploys them, as Mermaid."""
    answer = compiler.ask("getDeploymentGraph", path=str(folder.main))
    modules = {node["name"]: node for node in answer["nodes"] if "relativePath" in node}
    graph: dict[str, set[str]] = {name: set() for name in modules}
    for edge in answer["edges"]:
        if edge["source"] in modules and edge["target"] in modules:
            graph[edge["source"]].add(edge["target"])
    lines = ["```mermaid", "flowchart LR"]
    for name, node in sorted(modules.items()):
        path = (folder.path / node["relativePath"]).resolve()
        lines.append(f'    {name}["<b>{path.stem}</b><br/>{_description(compiler, path)}"]')
    for name in sorted(graph):
        lines += [f"    {target} --> {name}" for target in sorted(direct(graph, name))]
    return "\n".join([*lines, "```"])


def direct(graph: Graph, name: str) -> set[str]:
    """What a module waits for, without what these wait for anyway."""
    return graph[name] - {far for near in graph[name] for far in reached(graph, near)}


def reached(graph: Graph, name: str) -> set[str]:
    """Everything that a module waits for, directly or not."""
    return graph[name] | {far for near in graph[name] for far in reached(graph, near)}


def main() -> int:
    """Write docs/deploy.md."""
    parts = {"costs": tables()}
    if (path := find_compiler()) is None:
        sys.stdout.write(SKIPPED)
    else:
        with start_compiler(path) as compiler:
            if (wrong := other_version(compiler)) is not None:
                sys.stderr.write(f"{wrong}\n")
                return 1
            parts |= compiled_parts(compiler, FOLDER)
    DEPLOY.write_text(generate(DEPLOY.read_text(), parts))
    return 0


def _description(compiler: Compiler, path: Path) -> str:
    metadata = compiler.ask("getMetadata", path=str(path))["metadata"]
    [text] = [each["value"] for each in metadata if each["name"] == "description"]
    return re.sub(r"\.$", "", str(text))


def _values(parameter: Mapping[str, Any]) -> str:
    """The default first, then the other values there are."""
    default = parameter.get("defaultValue")
    shown = json.dumps(default) if isinstance(default, bool | dict) else str(default or "")
    shown = str(default) if default == 0 and not isinstance(default, bool) else shown
    others = [each for each in parameter.get("allowedValues", []) if each != default]
    return ", ".join(f"`{each}`" for each in [shown, *others] if each not in {"", "{}"})


if __name__ == "__main__":
    sys.exit(main())
