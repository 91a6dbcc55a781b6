"""How a module of functions declares its functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cosmos_local.values import Value

Implementation: TypeAlias = Callable[..., Value]


@dataclass(frozen=True, slots=True)
class Function:
    """A built-in function and how many arguments it takes."""

    implementation: Implementation
    least: int
    most: int


MANY = 10_000  # effectively no limit: the length of a query text is limited


def define(
    functions: dict[str, Function], name: str, least: int, most: int | None = None
) -> Callable[[Implementation], Implementation]:
    """Register a function under its SQL name; without `most`, it takes `least` arguments."""

    def register(implementation: Implementation) -> Implementation:
        functions[name] = Function(implementation, least, least if most is None else most)
        return implementation

    return register
