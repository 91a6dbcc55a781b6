"""Change the package in small ways, one at a time, and see which changes no test notices.

    python packages/cosmos-local/tools/mutate.py MODULE ... --count 20 --tests test_lists.py ...

A mutant is a comparison, an arithmetic or boolean operator, or a number that is another. Each runs
the fast tests on a copy of the package, until the first failure. What survives is printed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
SOURCE = PACKAGE / "src" / "cosmos_local"
SLOW = ("test_fuzz.py", "test_machine.py", "test_javascript.py", "test_server.py", "test_docs.py")
SWAPS: dict[type[ast.AST], type[Any]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div,
}  # fmt: skip


def main() -> None:
    """Run a sample of all mutants and print the survivors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help="such as lists.py; all of them by default")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", nargs="*", default=[], help="test files, the fast ones if none")
    options = parser.parse_args()
    files = [SOURCE / name for name in options.modules] or sorted(SOURCE.rglob("*.py"))
    places = [
        (file, number)
        for file in files
        for number in range(len(changes(ast.parse(file.read_text()))))
    ]
    chosen = random.Random(options.seed).sample(places, min(options.count, len(places)))  # noqa: S311
    survivors = 0
    for file, number in chosen:
        line, text = mutant(file, number)
        noticed = is_noticed(file, text, options.tests)
        survivors += not noticed
        place = f"{file.relative_to(SOURCE)}:{line}"
        print(f"{'noticed ' if noticed else 'SURVIVED'} {place}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants noticed ({len(places)} places)")


def changes(tree: ast.AST) -> list[Callable[[], int]]:
    """Return what can be changed in a module; each change returns its line."""
    found: list[Callable[[], int]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            places = [place for place, one in enumerate(node.ops) if type(one) in SWAPS]
            found += [partial(_swap_comparison, node, place) for place in places]
        elif isinstance(node, ast.BoolOp | ast.BinOp) and type(node.op) in SWAPS:
            found.append(partial(_swap_operator, node))
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            found.append(partial(_raise_number, node, node.value))
    return found


def _swap_comparison(node: ast.Compare, place: int) -> int:
    node.ops[place] = SWAPS[type(node.ops[place])]()
    return node.lineno


def _swap_operator(node: ast.BoolOp | ast.BinOp) -> int:
    node.op = SWAPS[type(node.op)]()
    return node.lineno


def _raise_number(node: ast.Constant, number: int) -> int:
    node.value = number + 1
    return node.lineno


def mutant(file: Path, number: int) -> tuple[int, str]:
    """Return the line of a change, and the module with it."""
    tree = ast.parse(file.read_text())
    line = changes(tree)[number]()
    return line, ast.unparse(tree)


def is_noticed(file: Path, text: str, tests: list[str]) -> bool:
    """Run the tests on a copy of the package with one module changed."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCE, Path(folder) / "cosmos_local")
        (Path(folder) / "cosmos_local" / file.relative_to(SOURCE)).write_text(text)
        ignored = [f"--ignore={PACKAGE / 'tests' / name}" for name in SLOW]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", *ignored]
        chosen = [str(PACKAGE / "tests" / name) for name in tests or [""]]
        environment = os.environ | {"PYTHONPATH": folder}
        done = subprocess.run(
            [*command, *chosen],
            env=environment,
            capture_output=True,
            check=False,
            cwd=PACKAGE.parents[1],
        )
    return done.returncode != 0


if __name__ == "__main__":
    main()
