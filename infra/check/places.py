"""Checks where things are made: in a region, a child in its parent, a module in the resource group."""

from collections.abc import Iterator

from tree_sitter import Node

from infra.check.bicep import BicepFile, fields_of, is_existing, text, type_of
from infra.check.contract import load_contract
from infra.check.finding import Finding

GROUP = "Microsoft.Resources/resourceGroups"
OF_THE_SUBSCRIPTION = "targetScope = 'subscription'"


def check_places(file: BicepFile) -> Iterator[Finding]:
    """Yield what has no place, or the wrong one."""
    above = OF_THE_SUBSCRIPTION in {text(node) for node in file.root.named_children}
    for node in file.resources.values():
        kind = type_of(node).partition("@")[0]
        owner = kind.rpartition("/")[0]
        if (kind == GROUP) != above:
            yield file.finding(
                node, "place", f"{GROUP}, and nothing else, is made under {OF_THE_SUBSCRIPTION}"
            )
        if "/" in owner and _parent_of(file, node) != owner:
            yield file.finding(node, "place", f"{kind} needs a `parent` that is one of {owner}")
        if "/" not in owner and not is_existing(node) and _lacks_region(node):
            yield file.finding(node, "place", f"{kind} needs a `location`")
    for node in file.modules.values() if above else ():
        if "scope" not in fields_of(node):
            yield file.finding(
                node, "place", "a module under the subscription needs the group as its `scope`"
            )


def _lacks_region(node: Node) -> bool:
    shape = load_contract().get(type_of(node))
    return (
        shape is not None and "location" in shape.properties and "location" not in fields_of(node)
    )


def _parent_of(file: BicepFile, node: Node) -> str:
    """The type of a resource's parent; of an array of parents, of each."""
    fields = fields_of(node)
    parent = (
        file.resources.get(text(fields["parent"]).partition("[")[0]) if "parent" in fields else None
    )
    return type_of(parent).partition("@")[0] if parent is not None else ""
