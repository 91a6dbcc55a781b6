"""What an answer costs, counted: rows read, statements' plans, modules imported, charges."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy

from cosmos_local import LocalCosmos, charges
from cosmos_local.storage import Area

pytestmark = pytest.mark.anyio
DECLARATION = Path(__file__).parent / "containers.json"


@pytest.fixture
async def busy(memory: ContainerProxy) -> ContainerProxy:
    """Store twenty items for each of ten users."""
    for user in range(10):
        operations: list[Any] = [
            (
                "create",
                ({"id": f"{number:02}", "user_id": f"u{user}", "kind": "turn", "seq": number},),
            )
            for number in range(20)
        ]
        await memory.execute_item_batch(operations, f"u{user}")
    return memory


async def rows_read(cosmos: LocalCosmos, memory: ContainerProxy, query: str, **options: Any) -> int:
    """Run a query's first page and count the rows that were taken from SQLite."""
    before = cosmos.storage.rows_read
    pages = memory.query_items(query, **options).by_page()
    _ = [item async for item in await anext(pages)]
    return cosmos.storage.rows_read - before


async def test_a_query_reads_its_partition_only(cosmos: LocalCosmos, busy: ContainerProxy) -> None:
    """The other nine users' rows are not touched."""
    assert await rows_read(cosmos, busy, "SELECT * FROM c", partition_key="u3") == 20


async def test_a_filter_is_decided_before_parsing(
    cosmos: LocalCosmos, busy: ContainerProxy
) -> None:
    """Rows that SQLite can rule out are not read."""
    query = "SELECT * FROM c WHERE c.user_id = 'u3' AND c.kind = 'turn' AND c.seq > 17"
    assert await rows_read(cosmos, busy, query, partition_key="u3") <= 3


async def test_an_unordered_page_stops_when_it_is_full(
    cosmos: LocalCosmos, busy: ContainerProxy
) -> None:
    """A page of three reads one more row, to know that there is more."""
    assert (
        await rows_read(cosmos, busy, "SELECT * FROM c", partition_key="u3", max_item_count=3) == 4
    )


async def test_a_point_read_scans_nothing(cosmos: LocalCosmos, busy: ContainerProxy) -> None:
    """Point reads go by the unique index."""
    before = cosmos.storage.rows_read
    await busy.read_item("07", "u3")
    assert cosmos.storage.rows_read == before


@pytest.mark.parametrize("area", [Area(1, '["u3"]'), Area(1, None, "10", "20"), Area(1)])
def test_a_scan_goes_by_an_index(cosmos: LocalCosmos, area: Area) -> None:
    """SQLite searches; it never walks through the whole table."""
    condition, values = area.condition()
    plan = cosmos.storage.connection.execute(
        f"EXPLAIN QUERY PLAN SELECT * FROM items WHERE {condition}",
        values,
    )
    assert all("SEARCH items USING" in row[3] for row in plan)


async def test_a_vector_query_reads_what_it_returns(
    cosmos: LocalCosmos, memory: ContainerProxy
) -> None:
    """The matrix is built once and then follows changes; only the nearest items are read."""
    for number in range(30):
        await memory.create_item(
            {"id": str(number), "user_id": "a", "embedding": [1.0, number, *[0.0] * 510]}
        )
    query = "SELECT TOP 3 c.id FROM c ORDER BY VectorDistance(c.embedding, @v)"
    options: dict[str, Any] = {
        "partition_key": "a",
        "parameters": [{"name": "@v", "value": [1.0] * 512}],
    }
    assert await rows_read(cosmos, memory, query, **options) == 3
    assert cosmos.storage.rows_indexed == 30
    await memory.delete_item("3", "a")
    await memory.create_item({"id": "new", "user_id": "a", "embedding": [1.0] * 512})
    await rows_read(cosmos, memory, query, **options)
    await rows_read(cosmos, memory, query, **options)
    assert cosmos.storage.rows_indexed == 31


async def test_numpy_is_imported_by_vector_queries_only() -> None:
    """Only vector queries import numpy."""
    program = (
        "import sys, pathlib; from cosmos_local import LocalCosmos;"
        f"LocalCosmos.open(None, pathlib.Path({str(DECLARATION)!r})).close();"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: ASYNC221


@pytest.mark.parametrize(
    ("charge", "published"),
    [
        (charges.read(1024, strong=False), 1.0),
        (charges.read(100 * 1024, strong=False), 10.0),
        (charges.read(1024, strong=True), 2.0),
        (charges.write(1024, replaces=False), 5.0),
        (charges.write(100 * 1024, replaces=False), 50.0),
        (charges.write(1024, replaces=True), 10.0),
    ],
)
def test_charges_follow_the_published_figures(charge: float, published: float) -> None:
    """Estimates are within a tenth of what the service publishes."""
    assert charge == pytest.approx(published, rel=0.1)
