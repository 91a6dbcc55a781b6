"""What the tests of infra/ know about the product's code: the only place that reads it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from shared.adapters.queue.storage_queue import POISON, QUEUE
from shared.bootstrap.background import MAX_DELIVERIES
from shared.http.access_log import AccessLog
from shared.services.consolidation.schedule import MAX_WAITING
from shared.telemetry import log_event

__all__ = [
    "MAX_DELIVERIES",
    "MAX_WAITING",
    "POISON",
    "QUEUE",
    "AccessLog",
    "log_event",
    "logged_fields",
    "opened_containers",
]
SHARED = Path(__file__).resolve().parents[2] / "shared"
OPENERS = {"call", "write_batch"}  # of the Cosmos DB client; the first argument is a container


def opened_containers() -> set[str]:
    """The containers that the Cosmos DB adapters open, by constant or literal."""
    trees = [ast.parse(path.read_text()) for path in (SHARED / "adapters").rglob("*.py")]
    constants = {
        target.id: node.value.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    arguments = [node.args[0] for tree in trees for node in _calls(tree, OPENERS) if node.args]
    literals = {each.value for each in arguments if isinstance(each, ast.Constant)}
    names = {each.id for each in arguments if isinstance(each, ast.Name)} & constants.keys()
    return {str(value) for value in literals | {constants[name] for name in names}}


def logged_fields(event: str) -> set[str]:
    """The fields with which the product logs an event; empty if it never does."""
    return {
        keyword.arg
        for path in SHARED.rglob("*.py")
        for node in _calls(ast.parse(path.read_text()), {"log_event"})
        if node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == event
        for keyword in node.keywords
        if keyword.arg
    }


def _calls(tree: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func
            if (called.id if isinstance(called, ast.Name) else called) in names:
                yield node
