"""Checks that every name is declared, and every declaration used."""

from collections.abc import Iterator

from tree_sitter import Node

from infra.check.bicep import BicepFile, loop_symbols, operands, text
from infra.check.finding import Finding

FUNCTIONS = {  # those that infra/ calls; add one when you need it
    "concat",
    "empty",
    "environment",
    "guid",
    "last",
    "loadJsonContent",
    "newGuid",
    "replace",
    "split",
    "string",
    "subscription",
    "subscriptionResourceId",
    "tenant",
    "toLower",
    "union",
    "uniqueString",
    "utcNow",
}
NAMELESS = {"decorators", "metadata_declaration", "target_scope_assignment", "type"}
DECLARED_BY_NAME = {
    "parameter_declaration",
    "variable_declaration",
    "output_declaration",
    "resource_declaration",
    "module_declaration",
}


def check_names(file: BicepFile) -> Iterator[Finding]:
    """Yield names that mean nothing, and parameters and variables that nothing reads."""
    declared = {*file.parameters, *file.variables, *file.resources, *file.modules}
    used = set()
    for node, bound in _uses(file.root, frozenset()):
        used.add(text(node))
        if (
            node.parent is not None
            and node.parent.type == "call_expression"
            and operands(node.parent)[0] == node
        ):
            if text(node) not in FUNCTIONS:
                yield file.finding(node, "unknown-function", f"{text(node)} is no function")
        elif text(node) not in declared | bound:
            yield file.finding(node, "undefined", f"{text(node)} is declared nowhere")
    for name, declaration in {**file.parameters, **file.variables}.items():
        if name not in used:
            yield file.finding(declaration, "unused", f"{name} is read nowhere")


def _uses(node: Node, bound: frozenset[str]) -> Iterator[tuple[Node, frozenset[str]]]:
    """Every identifier that reads something, with the loop variables it may read."""
    if node.type in NAMELESS:
        return
    children = list(node.named_children)
    if node.type == "identifier":
        yield node, bound
    elif node.type in DECLARED_BY_NAME:
        children = children[1:]
    elif node.type == "for_statement":
        bound |= set(loop_symbols(node))
        children = children[1:]
    elif node.type == "object_property" and children[0].type == "identifier":
        children = children[1:]
    for child in children:
        yield from _uses(child, bound)
