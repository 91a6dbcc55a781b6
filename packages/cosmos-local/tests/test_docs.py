"""The document says what the code does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from cosmos_local import Fault
from cosmos_local.checker import MOMENTS, SEARCHES
from cosmos_local.functions import FUNCTIONS
from cosmos_local.syntax import AGGREGATES

TEXT = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()


def test_every_function_is_in_the_document() -> None:
    """The table of functions is complete and names nothing else."""
    table = TEXT.partition("\nFunctions:")[2].partition("## Approximate")[0]
    public = {name for name in SEARCHES if not name.startswith("_")}
    assert (
        set(re.findall(r"`([A-Z0-9_]+)`", table))
        == FUNCTIONS.keys() | MOMENTS | public | AGGREGATES
    )


def test_every_fault_is_in_the_document() -> None:
    """Each field of a fault is named."""
    assert {item.name for item in fields(Fault)} <= set(re.findall(r"`(\w+)`", TEXT))
