"""Every property of a container does something, or is refused when the container is created."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.cosmos import ContainerProxy, CosmosClient, DatabaseProxy, PartitionKey, exceptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos, WireRequest
from cosmos_local.authority import sign

VECTOR = {"path": "/v", "dataType": "float32", "distanceFunction": "cosine", "dimensions": 3}
KEY = {"paths": ["/pk"], "kind": "Hash", "version": 2}


@pytest.fixture
def account() -> Iterator[LocalCosmos]:
    """Open an account in which clients may create everything."""
    opened = LocalCosmos.open(None, allow_create=True)
    yield opened
    opened.close()


@pytest.fixture
def database(account: LocalCosmos) -> Iterator[DatabaseProxy]:
    """Create a database."""
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=account.sync_transport())
    yield client.create_database("db")
    client.close()


def create(database: DatabaseProxy, **properties: object) -> ContainerProxy:
    """Create a container with these properties, as they are on the wire."""
    body = {"id": "c", "partitionKey": KEY} | properties
    database.client_connection.CreateContainer("dbs/db", body)
    return database.get_container_client("c")


def indexed(**policy: object) -> dict[str, object]:
    """Return properties with an indexing policy."""
    return {"indexingPolicy": policy}


def embedded(*vectors: dict[str, object], index: object = None) -> dict[str, object]:
    """Return properties with a vector policy, and one vector index if given."""
    indexes = {"vectorIndexes": [index]} if index is not None else {}
    return {"vectorEmbeddingPolicy": {"vectorEmbeddings": list(vectors)}} | indexed(**indexes)


def searched(**policy: object) -> dict[str, object]:
    """Return properties with a full-text policy."""
    return {"fullTextPolicy": policy}


def flat(**options: object) -> dict[str, object]:
    """Return a vector index of /v."""
    return {"path": "/v", "type": "flat"} | options


REFUSED: dict[str, dict[str, object]] = {
    "an unknown property": {"encryption": {}},
    "a property for clients that encrypt": {"clientEncryptionPolicy": {"includedPaths": []}},
    "a global secondary index": {"materializedViewDefinition": {"definition": "SELECT * FROM c"}},
    "a key of another kind": {"partitionKey": {"paths": ["/pk"], "kind": "Range"}},
    "a key of version 3": {"partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 3}},
    "a key with two paths": {"partitionKey": {"paths": ["/a", "/b"], "kind": "Hash"}},
    "a key without paths": {"partitionKey": {"paths": []}},
    "a key path without slash": {"partitionKey": {"paths": ["pk"]}},
    "a key path with a wildcard": {"partitionKey": {"paths": ["/pk/*"]}},
    "a hierarchical key of version 1": {
        "partitionKey": {"paths": ["/a", "/b"], "kind": "MultiHash", "version": 1}
    },
    "four levels": {
        "partitionKey": {"paths": ["/a", "/b", "/c", "/d"], "kind": "MultiHash", "version": 2}
    },
    "no key": {"partitionKey": None},
    "a time to live of zero": {"defaultTtl": 0},
    "a time to live in words": {"defaultTtl": "1"},
    "unique keys without paths": {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": []}]}},
    "unique keys that are no list": {"uniqueKeyPolicy": {"uniqueKeys": {"paths": ["/a"]}}},
    "a unique key with a wildcard": {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/a/*"]}]}},
    "an indexing policy that is a list": {"indexingPolicy": []},
    "an unknown member of the indexing policy": indexed(fast=True),
    "an unknown indexing mode": indexed(indexingMode="eventual"),
    "an index that is off and automatic": indexed(indexingMode="none", automatic=True),
    "an index path without wildcard": indexed(includedPaths=[{"path": "/a"}]),
    "an index path with one in the middle": indexed(includedPaths=[{"path": "/*/a/?"}]),
    "an index path with an unknown member": indexed(includedPaths=[{"path": "/a/?", "x": 1}]),
    "an index path that is no object": indexed(excludedPaths=["/a/?"]),
    "a spatial index": indexed(spatialIndexes=[{"path": "/a/*", "types": ["Point"]}]),
    "a composite index of one path": indexed(compositeIndexes=[[{"path": "/a"}]]),
    "a composite index with a wildcard": indexed(
        compositeIndexes=[[{"path": "/a/*"}, {"path": "/b"}]]
    ),
    "a composite index with another order": indexed(
        compositeIndexes=[[{"path": "/a", "order": "up"}, {"path": "/b"}]]
    ),
    "composite indexes that are no lists": indexed(compositeIndexes=[{"path": "/a"}]),
    "a vector without dimensions": embedded(VECTOR | {"dimensions": None}),
    "a vector of 4,097 dimensions": embedded(VECTOR | {"dimensions": 4097}),
    "a vector of no dimensions": embedded(VECTOR | {"dimensions": 0}),
    "another distance": embedded(VECTOR | {"distanceFunction": "manhattan"}),
    "another data type": embedded(VECTOR | {"dataType": "float64"}),
    "a vector the service computes": embedded(VECTOR | {"embeddingSource": {}}),
    "a vector path twice": embedded(VECTOR, VECTOR),
    "a vector path with a wildcard": embedded(VECTOR | {"path": "/v/*"}),
    "a vector at the partition key": embedded(VECTOR | {"path": "/pk"}),
    "a vector index without policy": embedded(index=flat()),
    "a vector index of another type": embedded(VECTOR, index=flat(type="hnsw")),
    "an unknown option of a vector index": embedded(VECTOR, index=flat(lists=100)),
    "a flat index of 506 dimensions": embedded(VECTOR | {"dimensions": 506}, index=flat()),
    "a flat index with a shard key": embedded(VECTOR, index=flat(vectorIndexShardKey=["/pk"])),
    "two shard keys": embedded(
        VECTOR, index=flat(type="diskANN", vectorIndexShardKey=["/pk", "/b"])
    ),
    "a shard key that is no path": embedded(
        VECTOR, index=flat(type="diskANN", vectorIndexShardKey=["pk"])
    ),
    "a shard key that is no list": embedded(
        VECTOR, index=flat(type="diskANN", vectorIndexShardKey="/pk")
    ),
    "a flat index with a quantizer": embedded(VECTOR, index=flat(quantizationByteSize=1)),
    "more bytes than dimensions": embedded(
        VECTOR, index=flat(type="quantizedFlat", quantizationByteSize=4)
    ),
    "another quantizer": embedded(VECTOR, index=flat(type="diskANN", quantizerType="scalar")),
    "a short search list": embedded(VECTOR, index=flat(type="diskANN", indexingSearchListSize=24)),
    "a search list without graph": embedded(
        VECTOR, index=flat(type="quantizedFlat", indexingSearchListSize=100)
    ),
    "a text language of the preview": searched(defaultLanguage="de-DE"),
    "a path in another language": searched(fullTextPaths=[{"path": "/t", "language": "fr-FR"}]),
    "a text path twice": searched(fullTextPaths=[{"path": "/t"}, {"path": "/t"}]),
    "a text path with a wildcard": searched(fullTextPaths=[{"path": "/t/*"}]),
    "a text path without slash": searched(fullTextPaths=[{"path": "t"}]),
    "a text index without policy": indexed(fullTextIndexes=[{"path": "/t"}]),
    "computed properties that are no list": {"computedProperties": {"name": "x"}},
    "a computed property without a query": {"computedProperties": [{"name": "x"}]},
    "a computed property with a filter": {
        "computedProperties": [{"name": "x", "query": "SELECT VALUE c.a FROM c WHERE c.a > 1"}]
    },
    "a computed property that counts": {
        "computedProperties": [{"name": "x", "query": "SELECT VALUE COUNT(1) FROM c"}]
    },
    "a computed property called id": {
        "computedProperties": [{"name": "id", "query": "SELECT VALUE c.a FROM c"}]
    },
    "a computed property that is no SQL": {"computedProperties": [{"name": "x", "query": "c.a"}]},
    "a custom conflict resolution": {"conflictResolutionPolicy": {"mode": "Custom"}},
    "conflicts resolved by a property": {
        "conflictResolutionPolicy": {"mode": "LastWriterWins", "conflictResolutionPath": "/n"}
    },
    "analytical storage": {"analyticalStorageTtl": -1},
    "geometry": {"geospatialConfig": {"type": "Geometry"}},
    "a full change feed": {"changeFeedPolicy": {"retentionDuration": 10}},
}


@pytest.mark.parametrize("properties", REFUSED.values(), ids=REFUSED.keys())
def test_what_would_not_be_honoured_is_refused(
    database: DatabaseProxy, properties: dict[str, object]
) -> None:
    """A container that could not do what it says is 400, and does not exist afterwards."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        create(database, **properties)
    assert refused.value.status_code == 400
    assert list(database.list_containers()) == []


def test_what_a_policy_leaves_out_is_filled_in(database: DatabaseProxy) -> None:
    """An indexing policy is complete when it is read back."""
    properties = create(database, **indexed(compositeIndexes=[])).read()
    assert properties["indexingPolicy"]["includedPaths"] == [{"path": "/*"}]
    assert properties["indexingPolicy"]["excludedPaths"] == [{"path": '/"_etag"/?'}]
    assert properties["indexingPolicy"]["automatic"] is True


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        ({}, 200),
        ({"indexingMode": "none"}, 400),
        ({"includedPaths": [{"path": "/"}]}, 200),
        ({"includedPaths": [{"path": "/*", "indexes": [{"kind": "Range"}]}]}, 200),
        ({"includedPaths": [{"path": "/n/?"}], "excludedPaths": [{"path": "/*"}]}, 200),
        ({"includedPaths": [{"path": "/m/?"}], "excludedPaths": [{"path": "/*"}]}, 400),
        ({"excludedPaths": [{"path": "/n/*"}]}, 400),
        ({"excludedPaths": [{"path": "/n/?"}]}, 400),
        ({"includedPaths": [{"path": '/"n"/?'}], "excludedPaths": [{"path": "/*"}]}, 200),
    ],
)
def test_an_order_needs_its_index(
    database: DatabaseProxy, policy: dict[str, object], status: int
) -> None:
    """The most precise path of the policy decides whether a property can be ordered by."""
    container = create(database, **indexed(**policy))
    assert status_of(container, "SELECT * FROM c ORDER BY c.n") == status


def status_of(container: ContainerProxy, query: str, **options: Any) -> int:
    """Run a query of one partition and return its status."""
    try:
        list(container.query_items(query, partition_key="a", **options))
    except exceptions.CosmosHttpResponseError as error:
        return int(error.status_code or 0)
    return 200


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ("c.a ASC, c.b DESC", 200),
        ("c.a DESC, c.b ASC", 200),
        ("c.a ASC, c.b ASC", 400),
        ("c.b DESC, c.a ASC", 400),
    ],
)
def test_an_order_of_two_needs_its_composite_index(
    database: DatabaseProxy, order: str, status: int
) -> None:
    """A composite index serves its own order, and the reverse of all of it."""
    paths = [{"path": "/a"}, {"path": "/b", "order": "descending"}]
    container = create(database, **indexed(compositeIndexes=[paths]))
    assert status_of(container, f"SELECT * FROM c ORDER BY {order}") == status


@pytest.mark.parametrize("version", [None, 1, 2])
def test_every_version_of_a_key_is_found_by_range(
    database: DatabaseProxy, version: int | None
) -> None:
    """Keys of both versions are in the feed of their range; without one, it is the second."""
    key = {"paths": ["/pk"], "kind": "Hash"} | ({} if version is None else {"version": version})
    container = create(database, partitionKey=key)
    assert container.read()["partitionKey"]["version"] == (version or 2)
    values = ["a", "b", "c", 1, 2.5, True, None, "a much longer key " * 8]
    for number, value in enumerate(values):
        container.create_item({"id": str(number), "pk": value})
    found: list[list[Any]] = [
        list(container.query_items("SELECT VALUE c.id FROM c", feed_range=feed_range))
        for feed_range in container.read_feed_ranges()
    ]
    assert sorted(item for items in found for item in items) == list("01234567")
    assert sum(map(bool, found)) > 1
    changes = container.query_items_change_feed(partition_key="b", start_time="Beginning")
    assert [item["id"] for item in changes] == ["1"]
    assert len(list(container.query_items_change_feed(start_time="Beginning"))) == len(values)


@pytest.mark.parametrize("missing", [{}, {"pk": {"x": 1}}])
def test_a_key_that_is_no_scalar_is_undefined(
    database: DatabaseProxy, missing: dict[str, object]
) -> None:
    """Items without a key, or with an object there, share one partition."""
    from azure.cosmos.partition_key import NonePartitionKeyValue  # noqa: PLC0415 - one test

    container = create(database)
    container.create_item({"id": "1", **missing})
    assert container.read_item("1", NonePartitionKeyValue)["id"] == "1"


def test_a_computed_property_is_computed(database: DatabaseProxy) -> None:
    """It can be selected, filtered, grouped and ordered by; it is not part of the item."""
    lower = {"name": "lower", "query": "SELECT VALUE LOWER(root.name) FROM root"}
    container = create(database, computedProperties=[lower])
    for number, name in enumerate(["Bob", "ANN", "ann"]):
        container.create_item({"id": str(number), "pk": "a", "name": name})

    def ask(query: str) -> list[Any]:
        return list(container.query_items(query, partition_key="a"))

    assert ask("SELECT VALUE c.id FROM c WHERE c.lower = 'ann'") == ["1", "2"]
    assert ask("SELECT c.lower FROM c WHERE c.id = '0'") == [{"lower": "bob"}]
    assert ask("SELECT VALUE c.lower FROM c ORDER BY c.lower DESC") == ["bob", "ann", "ann"]
    grouped = ask("SELECT c.lower, COUNT(1) AS n FROM c GROUP BY c.lower")
    assert grouped == [{"lower": "bob", "n": 1}, {"lower": "ann", "n": 2}]
    assert "lower" not in ask("SELECT * FROM c")[0]
    everywhere: list[Any] = list(
        container.query_items(
            "SELECT VALUE c.lower FROM c ORDER BY c.lower", enable_cross_partition_query=True
        )
    )
    assert everywhere == ["ann", "ann", "bob"]


def test_a_unique_key_is_unique_in_its_partition(database: DatabaseProxy) -> None:
    """The same value is a conflict in one partition, and none in two."""
    container = create(database, uniqueKeyPolicy={"uniqueKeys": [{"paths": ["/mail", "/n"]}]})
    container.create_item({"id": "1", "pk": "a", "mail": "x", "n": 1})
    container.create_item({"id": "2", "pk": "b", "mail": "x", "n": 1})
    container.create_item({"id": "3", "pk": "a", "mail": "x", "n": 2})
    with pytest.raises(exceptions.CosmosResourceExistsError):
        container.create_item({"id": "4", "pk": "a", "mail": "x", "n": 1})


def test_a_default_time_to_live_is_kept(account: LocalCosmos, database: DatabaseProxy) -> None:
    """Items expire after the container's time unless they say otherwise."""
    container = create(database, defaultTtl=10)
    container.create_item({"id": "short", "pk": "a"})
    container.create_item({"id": "long", "pk": "a", "ttl": -1})
    account.clock.advance(11)
    found: list[Any] = list(container.query_items("SELECT VALUE c.id FROM c", partition_key="a"))
    assert found == ["long"]


@pytest.mark.parametrize(
    ("data_type", "vector", "is_taken"),
    [
        ("float32", [0.5, -1e30, 3], True),
        ("float16", [0.5, 1, 2], True),
        ("int8", [-128, 127, 0], True),
        ("int8", [-129, 0, 0], False),
        ("int8", [0.5, 0, 0], False),
        ("uint8", [0, 255, 1], True),
        ("uint8", [-1, 0, 0], False),
        ("uint8", [256, 0, 0], False),
        ("float32", [1, 2], False),
        ("float32", [1, 2, "3"], False),
        ("float32", "abc", False),
        ("float32", None, True),
    ],
)
def test_a_vector_has_its_policys_type(
    database: DatabaseProxy, data_type: str, vector: object, *, is_taken: bool
) -> None:
    """Numbers that the data type does not have are refused."""
    container = create(database, **embedded(VECTOR | {"dataType": data_type}))
    item = {"id": "1", "pk": "a", "v": vector}
    if is_taken:
        container.create_item(item)
        assert container.read_item("1", "a")["v"] == vector
    else:
        with pytest.raises(exceptions.CosmosHttpResponseError, match="vector"):
            container.create_item(item)


@pytest.mark.parametrize(
    "index",
    [
        {"path": "/v", "type": "flat"},
        {"path": "/v", "type": "quantizedFlat", "quantizationByteSize": 2},
        {"path": "/v", "type": "diskANN", "vectorIndexShardKey": ["/pk"]},
        {"path": "/v", "type": "diskANN", "indexingSearchListSize": 25, "quantizerType": "product"},
    ],
)
def test_every_vector_index_finds_the_nearest(
    database: DatabaseProxy, index: dict[str, object]
) -> None:
    """The search is exact whatever the index, so a thousand vectors are not needed first."""
    container = create(database, **embedded(VECTOR, index=index))
    for number in range(5):
        container.create_item({"id": str(number), "pk": "a", "v": [1, number, 0]})
    query = "SELECT TOP 1 VALUE c.id FROM c ORDER BY VectorDistance(c.v, [1, 2.1, 0])"
    found: list[Any] = list(container.query_items(query, partition_key="a"))
    assert found == ["2"]


def test_vectors_do_not_go_with_shared_throughput(account: LocalCosmos) -> None:
    """A database with throughput of its own takes no container with vectors, as in Azure."""
    client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=account.sync_transport())
    shared = client.create_database("db", offer_throughput=400)
    with pytest.raises(exceptions.CosmosHttpResponseError, match="shared"):
        create(shared, **embedded(VECTOR))
    create(shared)
    assert len(account.catalogue.offers.all()) == 1
    client.close()


@pytest.mark.parametrize(
    "changed",
    [
        {"partitionKey": {"paths": ["/other"], "kind": "Hash", "version": 2}},
        {"partitionKey": {"paths": ["/pk"], "kind": "Hash", "version": 1}},
        {"partitionKey": None},
        {"uniqueKeyPolicy": {"uniqueKeys": [{"paths": ["/mail"]}]}},
        {"id": "other"},
        embedded(VECTOR | {"dimensions": 4}, index=flat()),
        embedded(VECTOR, index=flat(type="diskANN")),
        indexed(),
    ],
)
def test_what_is_immutable_stays(database: DatabaseProxy, changed: dict[str, object]) -> None:
    """Keys, unique keys and vectors cannot be changed by a replace."""
    container = create(database, **embedded(VECTOR, index=flat()))
    before = container.read()
    body = {"id": "c", "partitionKey": KEY} | changed
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        database.client_connection.ReplaceContainer("dbs/db/colls/c", body)
    assert refused.value.status_code == 400
    assert container.read() == before


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.sampled_from(["", "/", "/a", "/*", "x", '/"']),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["path", "paths", "kind", "version", "type", "dimensions", "language"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)
NAMES = st.sampled_from(
    """
    id partitionKey indexingPolicy defaultTtl uniqueKeyPolicy vectorEmbeddingPolicy fullTextPolicy
    computedProperties conflictResolutionPolicy geospatialConfig changeFeedPolicy
    """.split()  # noqa: SIM905 - as in the code
)
INNER = st.sampled_from(
    """
    includedPaths excludedPaths compositeIndexes vectorIndexes fullTextIndexes spatialIndexes
    uniqueKeys vectorEmbeddings fullTextPaths mode
    """.split()  # noqa: SIM905 - as above
)


@given(name=NAMES, inner=INNER, value=JSON)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_property_makes_the_gateway_fail(name: str, inner: str, value: object) -> None:
    """Whatever a property is, the container is created or refused."""
    account = LocalCosmos.open(None, {"database": "db", "containers": []}, allow_create=True)
    for given_value in (value, {inner: value}, {inner: [value]}):
        body = WireRequest("POST", "/dbs/db/colls", {}, b"")
        document = {"id": "c", "partitionKey": KEY} | {name: given_value}
        signed = sign("POST", body.path, LOCAL_KEY)
        answer = account.gateway.respond(WireRequest("POST", body.path, signed, dumped(document)))
        assert answer.status in (201, 400, 409)
    account.close()


def dumped(value: object) -> bytes:
    """Write JSON."""
    import json  # noqa: PLC0415 - one function

    return json.dumps(value).encode()


def test_the_number_of_ranges_is_chosen() -> None:
    """Tools that assume one range, or want many, get what they ask for."""
    for count in (1, 2, 7):
        account = LocalCosmos.open(None, allow_create=True, ranges=count)
        client = CosmosClient(LOCAL_ENDPOINT, LOCAL_KEY, transport=account.sync_transport())
        made = client.create_database("db").create_container("c", PartitionKey(path="/pk"))
        assert len(list(made.read_feed_ranges())) == count
        for number in range(20):
            made.create_item({"id": "x", "pk": f"{number}"})
        counted = made.query_items(
            "SELECT VALUE COUNT(1) FROM c", enable_cross_partition_query=True
        )
        total: list[Any] = list(counted)
        assert total == [20]
        client.close()
        account.close()
