"""A Bicep file: its syntax tree, its declarations, and what in it the checks could not follow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from infra.check.finding import Finding

DECLARATIONS = {
    "parameter_declaration": "parameters",
    "variable_declaration": "variables",
    "output_declaration": "outputs",
    "module_declaration": "modules",
    "resource_declaration": "resources",
}
BEYOND_THE_SUBSET = {
    "array_type": "write `array`",
    "nullable_type": "give the parameter a default",
    "union_type": "use @allowed",
    "type_declaration": "declare parameters with plain types",
    "lambda_expression": "loop with `for`",
    "user_defined_function": "use a variable",
    "import_functionality": "use a module",
    "import_statement": "use a module",
}


@dataclass(frozen=True, slots=True)
class BicepFile:
    """One parsed file. Declarations are found by their symbols."""

    path: Path
    root: Node
    parameters: Mapping[str, Node]
    variables: Mapping[str, Node]
    outputs: Mapping[str, Node]
    modules: Mapping[str, Node]
    resources: Mapping[str, Node]

    def finding(self, node: Node, rule: str, message: str) -> Finding:
        """A fault at a node of this file."""
        return Finding(self.path, line_of(node), rule, message)


@lru_cache(maxsize=128)
def parse(path: Path, source: bytes) -> BicepFile:
    """Parse a file's content."""
    root = Parser(Language(tree_sitter_bicep.language())).parse(source).root_node
    found: dict[str, dict[str, Node]] = {kind: {} for kind in DECLARATIONS.values()}
    for node in root.named_children:
        if node.type in DECLARATIONS:
            found[DECLARATIONS[node.type]][text(operands(node)[0])] = node
    return BicepFile(path, root, **found)


def read(path: Path) -> BicepFile:
    """Parse a file."""
    return parse(path, path.read_bytes())


def check_syntax(file: BicepFile) -> Iterator[Finding]:
    """Yield what does not parse, or parses and is beyond what the other checks understand."""
    for node in walk(file.root):
        if node.type == "ERROR" or node.is_missing:
            yield file.finding(node, "syntax", f"cannot be parsed near {text(node)[:40]!r}")
        elif node.type in BEYOND_THE_SUBSET:
            yield file.finding(
                node, "subset", f"{node.type} cannot be checked; {BEYOND_THE_SUBSET[node.type]}"
            )
        elif node.type == "resource_declaration" and node.parent != file.root:
            yield file.finding(
                node,
                "subset",
                "a nested resource cannot be checked; write it beside, with `parent`",
            )
        elif (
            node.type == "ternary_expression"
            and node.start_point.row != operands(node)[1].start_point.row
        ):
            yield file.finding(
                node,
                "subset",
                "other tools skip a file whose `?` begins a line; keep it on the first",
            )
        elif node.type == "object":
            keys = [key for key, _ in entries(node) if key is not None]
            for key in {key for key in keys if keys.count(key) > 1}:
                yield file.finding(node, "duplicate", f"{key!r} is given twice")


def walk(node: Node) -> Iterator[Node]:
    """The node and everything under it."""
    yield node
    for child in node.children:
        yield from walk(child)


def operands(node: Node) -> list[Node]:
    """The children that mean something."""
    return [
        child
        for child in node.named_children
        if child.type not in {"comment", "diagnostic_comment", "decorators"}
    ]


def text(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def line_of(node: Node) -> int:
    """The line a node begins in, from 1."""
    return node.start_point.row + 1


def literal(node: Node) -> str | None:
    """The content of a string without interpolation."""
    if node.type != "string" or any(child.type == "interpolation" for child in node.children):
        return None
    return "".join(text(child).removeprefix("\\") for child in node.named_children)


def entries(record: Node) -> Iterator[tuple[str | None, Node]]:
    """The keys of an object with their values; None for a key that is computed."""
    for entry in record.named_children:
        if entry.type == "object_property":
            key, *rest = operands(entry)
            if rest:
                yield literal(key) if key.type == "string" else text(key), rest[-1]


def body_of(declaration: Node) -> Node | None:
    """The object of a resource or module, inside its `if` or `for`."""
    node = operands(declaration)[-1]
    while node.type in {"if_statement", "for_statement"}:
        node = operands(node)[-1]
    return node if node.type == "object" else None


def fields_of(declaration: Node) -> dict[str, Node]:
    """What a resource or module is given, as written."""
    body = body_of(declaration)
    return {key: value for key, value in entries(body) if key} if body is not None else {}


def loop_of(declaration: Node) -> Node | None:
    """The `for` of a resource or module."""
    node = operands(declaration)[-1]
    return node if node.type == "for_statement" else None


def loop_symbols(loop: Node) -> list[str]:
    """What a `for` binds: its item, and its index if it has one."""
    first = operands(loop)[0]
    return (
        [text(first)] if first.type == "identifier" else [text(child) for child in operands(first)]
    )


def decorators_of(declaration: Node) -> Iterator[tuple[str, Node]]:
    """The decorators before a declaration: their names and their arguments."""
    before = declaration.prev_named_sibling
    while before is not None and before.type in {"comment", "diagnostic_comment"}:
        before = before.prev_named_sibling
    if before is not None and before.type == "decorators":
        for decorator in operands(before):
            name, arguments = operands(operands(decorator)[0])
            yield text(name), arguments


def kind_of(parameter: Node) -> str:
    """The declared type of a parameter."""
    return next(text(child) for child in parameter.named_children if child.type == "type")


def has_default(parameter: Node) -> bool:
    """Whether a parameter may be left out."""
    return any(child.type == "=" for child in parameter.children)


def is_existing(resource: Node) -> bool:
    """Whether a resource is only referred to."""
    return any(child.type == "existing" for child in resource.children)


def type_of(resource: Node) -> str:
    """A resource's type and API version, as written."""
    return literal(operands(resource)[1]) or ""


def module_path(file: BicepFile, module: Node) -> Path:
    """The file a module is made of."""
    return file.path.parent / (literal(operands(module)[1]) or "")
