"""Checks what is said of each other: parameters and their values, modules and outputs, what is read of a resource."""

from collections.abc import Iterator

from tree_sitter import Node

from infra.check.bicep import (
    BicepFile,
    body_of,
    has_default,
    kind_of,
    loop_of,
    loop_symbols,
    module_path,
    operands,
    read,
    text,
    type_of,
    walk,
)
from infra.check.contract import ALWAYS_READABLE, ObjectOf, Shape, load_contract
from infra.check.finding import Finding
from infra.check.values import (
    Known,
    Record,
    Scope,
    Unknown,
    Value,
    at,
    evaluate,
    items_of,
    leaves,
    parameter_of,
    resource_body,
)

MODULE_PROPERTIES = {"name", "scope", "params", "dependsOn"}


def check_wiring(file: BicepFile) -> Iterator[Finding]:
    """Yield parameters and outputs that do not meet, and properties that are read but do not exist."""
    for node in file.modules.values():
        yield from _module_faults(file, node)
    for name, parameter in file.parameters.items():
        default = evaluate(Scope(file), operands(parameter)[-1]) if has_default(parameter) else None
        for constant in _refused(default, file, name):
            yield file.finding(parameter, "wrong-value", f"{name} may not be {constant!r}")
    for node in [*file.resources.values(), *file.modules.values()]:
        yield from _loop_faults(file, node)
    for node in walk(file.root):
        if node.type == "member_expression" and (
            node.parent is None or node.parent.type != "member_expression"
        ):
            yield from _read_faults(file, node)


def _module_faults(file: BicepFile, node: Node) -> Iterator[Finding]:
    path = module_path(file, node)
    if path.name not in {entry.name for entry in path.parent.glob("*.bicep")}:
        yield file.finding(
            node, "module-missing", f"there is no {path.name} (upper and lower case count)"
        )
        return
    module, body = read(path), resource_body(file, node)
    given = at(body, "params")
    fields = given.fields if isinstance(given, Record) else {}
    for name in [name for name in body.fields if name not in MODULE_PROPERTIES]:
        yield file.finding(body_of(node) or node, "unknown-property", f"a module has no {name!r}")
    for name, value in fields.items():
        if name not in module.parameters:
            yield Finding(
                file.path, value.line, "module-parameter", f"{path.name} has no parameter {name!r}"
            )
        elif wrong := _wrong_kind(value, kind_of(module.parameters[name])):
            yield Finding(
                file.path,
                value.line,
                "module-parameter",
                f"{path.name} wants another type: {name} {wrong}",
            )
        else:
            for constant in _refused(value, module, name):
                yield Finding(
                    file.path,
                    value.line,
                    "module-parameter",
                    f"{path.name}: {name} may not be {constant!r}",
                )
    for name, parameter in module.parameters.items():
        if name not in fields and not has_default(parameter):
            yield file.finding(node, "module-parameter", f"{path.name} needs {name!r}")


def _wrong_kind(value: object, wanted: str) -> str:
    kinds = {"string": str, "int": int, "bool": bool}
    for leaf in leaves(value) if wanted in kinds else []:  # type: ignore[arg-type]  # every value of a record is one
        constant = None if isinstance(leaf, Unknown) else leaf.constant
        known = kinds[wanted] is type(constant) if constant is not None else True
        unknown = not isinstance(leaf, Unknown) or leaf.kind in {"any", wanted}
        if not (known and unknown):
            return f"is {wanted}"
    return ""


def _refused(value: Value | None, file: BicepFile, name: str) -> list[object]:
    """The constants a value can be that the @allowed of a file's parameter does not have."""
    allowed = [
        leaf.constant for leaf in leaves(parameter_of(file, name)) if isinstance(leaf, Known)
    ]
    given = [leaf.constant for leaf in leaves(value) if isinstance(leaf, Known)]
    return [constant for constant in given if allowed and constant not in allowed]


def _loop_faults(file: BicepFile, declaration: Node) -> Iterator[Finding]:
    """What a loop reads of its item and some item does not have."""
    loop = loop_of(declaration)
    if loop is None:
        return
    item, collection = loop_symbols(loop)[0], operands(loop)[1]
    known = [
        each for each in items_of(evaluate(Scope(file), collection)) if isinstance(each, Record)
    ]
    for node in walk(loop):
        owner, *member = operands(node) if node.type == "member_expression" else [node]
        if (
            member
            and text(owner) == item
            and not all(text(member[0]) in each.fields for each in known)
        ):
            yield file.finding(
                node,
                "unknown-property",
                f"not every item of {text(collection)} has {text(member[0])!r}",
            )


def _read_faults(file: BicepFile, node: Node) -> Iterator[Finding]:
    symbol, *path = _chain(node)
    if symbol in file.modules and path[:1] == ["outputs"] and len(path) > 1:
        module = module_path(file, file.modules[symbol])
        if module.exists() and path[1] not in read(module).outputs:
            yield file.finding(node, "module-output", f"{module.name} has no output {path[1]!r}")
    elif symbol in file.resources:
        shape = load_contract().get(type_of(file.resources[symbol]))
        if (
            shape is not None
            and path
            and path[0] not in ALWAYS_READABLE
            and not _is_readable(shape, path)
        ):
            yield file.finding(node, "unknown-property", f"{symbol} has no {'.'.join(path)!r}")


def _chain(node: Node) -> list[str]:
    """The names of `a!.b.c`, first to last; empty names where something is computed."""
    if node.type == "identifier":
        return [text(node)]
    if node.type == "member_expression":
        owner, member = operands(node)
        return [*_chain(owner), text(member)]
    return _chain(operands(node)[0]) if operands(node) and node.type != "call_expression" else [""]


def _is_readable(shape: Shape, path: list[str]) -> bool:
    if not path or not isinstance(shape, ObjectOf):
        return True
    first, *rest = path
    options = [shape.properties, *(case.properties for case in shape.cases.values())]
    found = [properties[first].shape for properties in options if first in properties]
    return any(_is_readable(option, rest) for option in found) or shape.rest is not None
