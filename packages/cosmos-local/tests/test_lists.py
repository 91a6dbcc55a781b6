"""Sorted lists: the order is the evaluator's, and a large partition is not read for a few rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos import ContainerProxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import a_container, an_account, rows_of
from cosmos_local import LocalCosmos, access
from cosmos_local.items import Items
from cosmos_local.lists import encode
from cosmos_local.values import UNDEFINED, sort_key

COMPOSITES: dict[str, object] = {
    "indexingPolicy": {
        "compositeIndexes": [[{"path": "/day", "order": "descending"}, {"path": "/n"}]]
    }
}
TURNS = 1000
VALUES = st.one_of(
    st.just(UNDEFINED),
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=4),
    st.sampled_from(["", "\0", "a", "a\0", "a\0b", "b", "\U0001f600", "\uffff"]),
    st.lists(st.integers(0, 2), max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 2), max_size=2),
)


@given(left=VALUES, right=VALUES, descending=st.booleans())
def test_keys_sort_as_values_do(left: object, right: object, *, descending: bool) -> None:
    """Bytes compare as the evaluator compares, whatever the types."""
    keys = [encode(value, descending=descending) for value in (left, right)]
    before, after = sort_key(left), sort_key(right)
    assert (keys[0] < keys[1]) == (after < before if descending else before < after)
    assert (keys[0] == keys[1]) == (before == after)


@given(
    values=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8),
    descending=st.booleans(),
    size=st.integers(1, 4),
    bound=st.sampled_from(
        ["", " WHERE c.n > 0", " WHERE c.n <= 'a'", " WHERE c.n >= 1 AND c.n < 9"]
    ),
)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_list_gives_what_a_scan_gives(
    values: list[tuple[object, object]], bound: str, size: int, *, descending: bool
) -> None:
    """With and without a list, pages hold the same rows in the same order."""
    query = f"SELECT VALUE c.id FROM c{bound} ORDER BY c.n{' DESC' if descending else ''}"
    with an_account() as (_, client):
        container = a_container(client)
        for number, pair in enumerate(values):
            named = zip(("n", "m"), pair, strict=True)
            fields = {name: value for name, value in named if value is not UNDEFINED}
            container.create_item({"id": f"{number}", "pk": "a", **fields})
        scanned = paged(container, query, size)
        before, access.LARGE = access.LARGE, 0
        try:
            assert paged(container, query, size) == scanned
        finally:
            access.LARGE = before


def paged(container: ContainerProxy, query: str, size: int) -> list[Any]:
    """Read a query of one partition page by page."""
    pages = container.query_items(query, partition_key="a", max_item_count=size).by_page()
    return [item for page in pages for item in page]


@pytest.fixture
def heavy() -> Iterator[tuple[LocalCosmos, ContainerProxy]]:
    """Store a thousand turns of one user in ten sessions, and a few of another."""
    with an_account() as (cosmos, client):
        container = a_container(client, **COMPOSITES)
        definition = cosmos.catalogue.container("db", "c")
        items = Items(definition, cosmos.storage, cosmos.clock)
        with cosmos.storage.transaction():
            for number in range(TURNS):
                items.create(["a"], a_turn("a", number))
            for number in range(5):
                items.create(["b"], a_turn("b", number))
        yield cosmos, container


def a_turn(user: str, number: int) -> dict[str, object]:
    """Return a turn."""
    return {
        "id": f"{user}{number}", "pk": user, "kind": "turn", "session": f"s{number % 10}",
        "n": number, "day": number // 100, "on": number % 2 == 0,
    }  # fmt: skip


def read(cosmos: LocalCosmos, container: ContainerProxy, query: str, **options: Any) -> int:
    """Return how many rows the first page of a query reads, once its list is there."""
    counts = []
    for _ in range(2):
        before = cosmos.storage.rows_read
        pages = container.query_items(query, partition_key="a", **options).by_page()
        _ = list(next(pages, []))
        counts.append(cosmos.storage.rows_read - before)
    return counts[-1]


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("SELECT TOP 20 * FROM c WHERE c.kind = 'turn' ORDER BY c.n DESC", 21),
        ("SELECT TOP 20 * FROM c WHERE c.session = 's3' AND c.n <= 900 ORDER BY c.n DESC", 21),
        ("SELECT TOP 20 * FROM c WHERE c.session = 's3' AND c.n > 400 ORDER BY c.n", 21),
        ("SELECT TOP 20 * FROM c ORDER BY c.day DESC, c.n", 21),
        ("SELECT * FROM c WHERE c.pk = 'a' AND c.n = 7 AND c.on = false", 1),
        ("SELECT * FROM c WHERE c.kind = 'none' ORDER BY c.n", 0),
        ("SELECT TOP 20 c.id FROM c WHERE c.kind = 'turn'", 21),
        ("SELECT VALUE COUNT(1) FROM c", 0),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.pk = 'a' AND c.session = 's1'", 0),
        ("SELECT COUNT(1) AS n FROM c WHERE c.kind = 'turn'", 0),
    ],
)
def test_a_few_rows_of_many_are_read_from_a_list(
    heavy: tuple[LocalCosmos, ContainerProxy], query: str, most: int
) -> None:
    """The newest, a session's list and counts do not grow with the user's turns."""
    assert read(*heavy, query) <= most


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT VALUE COUNT(1) FROM c", TURNS),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.session = 's1'", TURNS // 10),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.pk = 'b'", 0),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.n = 1 AND c.n = 2", 0),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.n < 10", 10),
        ("SELECT VALUE COUNT(1) FROM c WHERE c.on = true", TURNS // 2),
        ("SELECT VALUE COUNT(c.missing) FROM c", 0),
        ("SELECT VALUE COUNT(undefined) FROM c", 0),
        ("SELECT VALUE COUNT(1) FROM c JOIN x IN c.missing", 0),
    ],
)
def test_counts_are_right(
    heavy: tuple[LocalCosmos, ContainerProxy], query: str, expected: int
) -> None:
    """A count from an index is what counting the rows gives."""
    assert rows_of(heavy[1], query) == [expected]


def test_a_list_follows_every_write(heavy: tuple[LocalCosmos, ContainerProxy]) -> None:
    """Items that are new, changed, moved, deleted or expired are where they belong at once."""
    cosmos, container = heavy
    newest = "SELECT TOP 3 VALUE c.id FROM c WHERE c.kind = 'turn' ORDER BY c.n DESC"
    count = "SELECT VALUE COUNT(1) FROM c WHERE c.kind = 'turn'"
    assert rows_of(container, newest) == ["a999", "a998", "a997"]
    container.create_item(a_turn("a", 1000))
    container.patch_item("a0", "a", [{"op": "set", "path": "/n", "value": 2000}])
    container.delete_item("a999", "a")
    container.upsert_item(a_turn("a", 998) | {"kind": "note"})
    assert rows_of(container, newest) == ["a0", "a1000", "a997"]
    assert rows_of(container, count) == [TURNS - 1]
    container.execute_item_batch([("delete", ("a0",)), ("delete", ("a1000",))], "a")
    assert rows_of(container, newest) == ["a997", "a996", "a995"]
    failing = [("delete", ("a997",)), ("delete", ("none",))]
    with pytest.raises(Exception, match="batch"):
        container.execute_item_batch(failing, "a")
    assert rows_of(container, newest) == ["a997", "a996", "a995"]
    container.delete_all_items_by_partition_key("a")
    assert rows_of(container, newest) == []
    assert rows_of(container, count) == [0]
    assert cosmos.storage.connection.execute("SELECT COUNT(*) FROM entries").fetchone()[0] > 0


def test_expired_rows_are_not_counted() -> None:
    """A list leaves out what has expired, in counts and in pages."""
    with an_account() as (cosmos, client):
        container = a_container(client, defaultTtl=-1)
        for number in range(access.LARGE + 50):
            ttl = 10 if number < 40 else -1
            container.create_item(
                {"id": f"{number}", "pk": "a", "kind": "x", "n": number, "ttl": ttl}
            )
        count = "SELECT VALUE COUNT(1) FROM c WHERE c.kind = 'x'"
        assert rows_of(container, count) == [access.LARGE + 50]
        cosmos.clock.advance(11)
        assert rows_of(container, count) == [access.LARGE + 10]
        oldest = "SELECT TOP 1 VALUE c.n FROM c WHERE c.kind = 'x' ORDER BY c.n"
        assert rows_of(container, oldest) == [40]


def test_a_list_is_kept_in_the_file(tmp_path: Path) -> None:
    """A list that was begun or made before a restart goes on after it."""
    declaration = {
        "database": "db",
        "containers": [{"id": "c", "partitionKey": {"paths": ["/pk"], "version": 2}}],
    }
    keys = (((("kind",), False)), (("n",), False))
    cosmos = LocalCosmos.open(tmp_path / "c.db", declaration)
    definition = cosmos.catalogue.container("db", "c")
    items = Items(definition, cosmos.storage, cosmos.clock)
    with cosmos.storage.transaction():
        for number in range(TURNS):
            items.create(["a"], a_turn("a", number))
    assert not cosmos.storage.lists._build_part(definition.number, keys)
    with cosmos.storage.transaction():
        items.delete(["a"], "a1")
        items.delete(["a"], "a900")
    cosmos.close()
    cosmos = LocalCosmos.open(tmp_path / "c.db", declaration)
    assert cosmos.storage.lists.find(definition.number, keys) is None
    cosmos.storage.lists.build(definition.number, keys)
    cosmos.storage.lists.build(definition.number, keys)
    assert cosmos.storage.lists.find(definition.number, keys) is not None
    entries = cosmos.storage.connection.execute("SELECT COUNT(*) FROM entries").fetchone()
    assert entries[0] == TURNS - 2
    cosmos.close()
