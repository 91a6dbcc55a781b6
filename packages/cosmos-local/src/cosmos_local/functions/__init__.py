"""The built-in functions a query may call."""

from __future__ import annotations

from cosmos_local.functions import arrays, dates, numbers, strings, types
from cosmos_local.functions.registry import Function

FUNCTIONS: dict[str, Function] = (
    types.FUNCTIONS | strings.FUNCTIONS | numbers.FUNCTIONS | arrays.FUNCTIONS | dates.FUNCTIONS
)

__all__ = ["FUNCTIONS", "Function"]
