"""The pytest fixture `cosmos_local`: an empty account in memory for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cosmos_local.database import LocalCosmos


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names a declaration of containers."""
    parser.addini(
        "cosmos_local_declaration",
        "JSON file that declares the containers the fixture cosmos_local starts with",
        default="",
    )


@pytest.fixture
def cosmos_local(request: pytest.FixtureRequest) -> Iterator[LocalCosmos]:
    """Open an account in memory; containers can be created, or come from a declaration."""
    from cosmos_local.database import LocalCosmos  # noqa: PLC0415 - not every test run needs it

    named = str(request.config.getini("cosmos_local_declaration"))
    declaration: Path | None = request.config.rootpath / named if named else None
    cosmos = LocalCosmos.open(None, declaration, allow_create=True)
    yield cosmos
    cosmos.close()
