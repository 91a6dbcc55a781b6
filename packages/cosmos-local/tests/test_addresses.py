"""Links by resource id, throughput, empty feeds, headers: what programs send beside documents."""

from __future__ import annotations

import json

import pytest
from azure.cosmos import ThroughputProperties, exceptions

from accounts import a_container, an_account, rows_of, send

ITEM = {"id": "1", "pk": "a", "n": 1}


def test_items_are_found_by_their_self_links() -> None:
    """Databases, containers and items are addressed by resource id as well as by name."""
    with an_account() as (cosmos, client):
        container = a_container(client)
        item = container.create_item(ITEM)
        assert container.read_item(item, "a")["id"] == "1"
        container.replace_item(item, ITEM | {"n": 2})
        container.patch_item(item, "a", [{"op": "incr", "path": "/n", "value": 3}])
        assert container.read_item("1", "a")["n"] == 5
        database = client.get_database_client(client.get_database_client("db").read()["id"])
        assert database.get_container_client(container.read()).read()["id"] == "c"
        container.delete_item(item, "a")
        assert cosmos.rows("c") == []


def test_a_link_of_something_that_is_gone_is_not_found() -> None:
    """A resource id that never was, or of a deleted item, is 404."""
    with an_account() as (_, client):
        container = a_container(client)
        link = container.create_item(ITEM)["_self"]
        container.delete_item("1", "a")
        for missing in (link, link.replace(link.split("/")[-2], "AAAA")):
            with pytest.raises(exceptions.CosmosResourceNotFoundError):
                container.read_item({"_self": missing}, "a")


def test_resource_ids_are_nested() -> None:
    """A child's id starts with its owner's bytes, as clients that parse them expect."""
    with an_account() as (_, client):
        container = a_container(client)
        item = container.create_item(ITEM)
        database = client.get_database_client("db").read()
    assert database["_self"] == f"dbs/{database['_rid']}/"
    assert item["_self"].startswith(f"dbs/{database['_rid']}/colls/")
    assert len(item["_rid"]) == 24


def test_throughput_is_stored_and_has_no_effect() -> None:
    """Manual and autoscale throughput of containers and databases is read back as it was set."""
    with an_account() as (_, client):
        database = client.create_database("shared", offer_throughput=1000)
        assert database.get_throughput().offer_throughput == 1000
        database.replace_throughput(1100)
        assert database.get_throughput().offer_throughput == 1100
        scaled = ThroughputProperties(auto_scale_max_throughput=4000)
        second = client.create_database("scaled", offer_throughput=scaled)
        assert second.get_throughput().auto_scale_max_throughput == 4000
        container = a_container(client)
        assert container.get_throughput().offer_throughput == 400
        container.replace_throughput(500)
        assert container.get_throughput().offer_throughput == 500


@pytest.mark.parametrize("throughput", [100, ThroughputProperties(auto_scale_max_throughput=100)])
def test_too_little_throughput_is_refused(throughput: int | ThroughputProperties) -> None:
    """The service's minimum holds."""
    with an_account() as (_, client):
        with pytest.raises(exceptions.CosmosHttpResponseError, match="less than required minimum"):
            client.create_database("db", offer_throughput=throughput)
        assert list(client.list_databases()) == []


def test_offers_are_a_feed() -> None:
    """Offers are listed, read one by one, and vanish with their resource."""
    with an_account() as (cosmos, client):
        a_container(client)
        (offer,) = json.loads(send(cosmos, "GET", "/offers").body)["Offers"]
        path = f"/offers/{offer['id']}"
        assert json.loads(send(cosmos, "GET", path).body) == offer
        assert send(cosmos, "PUT", path, offer | {"offerResourceId": "none"}).status == 404
        assert send(cosmos, "PUT", path, offer | {"content": {}}).status == 400
        assert send(cosmos, "PUT", path, offer | {"content": None}).status == 400
        client.get_database_client("db").delete_container("c")
        assert json.loads(send(cosmos, "GET", "/offers").body)["Offers"] == []
        assert send(cosmos, "GET", path).status == 404


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/dbs/db/users", "Users"),
        ("/dbs/db/colls/c/conflicts", "Conflicts"),
        ("/dbs/db/colls/c/sprocs", "StoredProcedures"),
        ("/dbs/db/colls/c/triggers", "Triggers"),
        ("/dbs/db/colls/c/udfs", "UserDefinedFunctions"),
    ],
)
def test_what_cannot_be_created_is_an_empty_feed(path: str, name: str) -> None:
    """Programs that only look for users, conflicts or scripts find none."""
    with an_account() as (cosmos, client):
        a_container(client)
        assert json.loads(send(cosmos, "GET", path).body)[name] == []
        assert send(cosmos, "POST", path, {"id": "x"}).status == 400
        assert send(cosmos, "GET", path.replace("db", "other")).status == 404


def test_metadata_can_be_queried_and_paged() -> None:
    """Databases and containers are feeds with pages, and answer any query of the language."""
    with an_account() as (cosmos, client):
        for name in ("a", "b", "c"):
            client.create_database(name)
        query = {"query": "SELECT VALUE r.id FROM r WHERE r.id > @i ORDER BY r.id DESC"}
        given = {**query, "parameters": [{"name": "@i", "value": "a"}]}
        media = "application/query+json"
        answer = send(cosmos, "POST", "/dbs", given, content_type=media)
        assert json.loads(answer.body)["Databases"] == ["c", "b"]
        page = send(cosmos, "GET", "/dbs", x_ms_max_item_count="2")
        assert [one["id"] for one in json.loads(page.body)["Databases"]] == ["a", "b"]
        token = page.headers["x-ms-continuation"]
        page = send(cosmos, "GET", "/dbs", x_ms_max_item_count="2", x_ms_continuation=token)
        assert [one["id"] for one in json.loads(page.body)["Databases"]] == ["c"]
        assert "x-ms-continuation" not in page.headers
        assert send(cosmos, "GET", "/dbs", x_ms_continuation="x").status == 400
        assert send(cosmos, "POST", "/dbs", {"query": "SELECT"}, content_type=media).status == 400


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("x_ms_throughput_bucket", "2", 200),
        ("x_ms_cosmos_throughput_bucket", "2", 200),
        ("x_ms_cosmos_allow_tentative_writes", "true", 200),
        ("x_ms_indexing_directive", "Default", 200),
        ("x_ms_indexing_directive", "Exclude", 400),
        ("x_ms_documentdb_pre_trigger_include", "t", 400),
        ("x_ms_consistency_level", "Strong", 200),
        ("x_ms_consistency_level", "Sometimes", 400),
        ("x_ms_never_heard_of", "1", 400),
    ],
)
def test_a_header_is_understood_or_refused(header: str, value: str, status: int) -> None:
    """A header that could change an answer, and is not known, is 400."""
    with an_account() as (cosmos, client):
        a_container(client).create_item(ITEM)
        key = {"x_ms_documentdb_partitionkey": '["a"]'}
        answer = send(cosmos, "GET", "/dbs/db/colls/c/docs/1", None, **key, **{header: value})
        assert answer.status == status


def test_an_answer_says_where_it_comes_from() -> None:
    """The headers that clients read are there; a batch counts as one write."""
    with an_account() as (cosmos, client):
        container = a_container(client)
        path, key = "/dbs/db/colls/c/docs/1", {"x_ms_documentdb_partitionkey": '["a"]'}
        container.create_item(ITEM)
        before = send(cosmos, "GET", path, None, **key)
        assert before.headers["content-location"].endswith(path)
        container.execute_item_batch(
            [("create", ({"id": f"{number}", "pk": "a"},)) for number in range(2, 5)], "a"
        )
        after = send(cosmos, "GET", path, None, **key)
        assert int(after.headers["lsn"]) == int(before.headers["lsn"]) + 1
        assert after.headers["x-ms-session-token"].endswith(f"#{after.headers['lsn']}")


def test_the_quota_counts_documents() -> None:
    """A container's usage is told to clients that ask for it."""
    with an_account() as (cosmos, client):
        a_container(client).create_item(ITEM)
        asked = {"x_ms_documentdb_populatequotainfo": "true"}
        answer = send(cosmos, "GET", "/dbs/db/colls/c", None, **asked)
        assert "documentsCount=1;" in answer.headers["x-ms-resource-usage"]
        assert "x-ms-resource-usage" not in send(cosmos, "GET", "/dbs/db/colls/c").headers


def test_an_item_can_be_replaced_under_a_new_id() -> None:
    """A replace may change the id, but not to one that is taken."""
    with an_account() as (cosmos, client):
        container = a_container(client)
        first = container.create_item(ITEM)
        container.create_item(ITEM | {"id": "2"})
        container.replace_item("1", ITEM | {"id": "3"})
        assert container.read_item("3", "a")["_rid"] == first["_rid"]
        with pytest.raises(exceptions.CosmosResourceExistsError):
            container.replace_item("3", ITEM | {"id": "2"})
        with pytest.raises(exceptions.CosmosResourceNotFoundError):
            container.read_item("1", "a")
        assert sorted(str(row["id"]) for row in cosmos.rows("c")) == ["2", "3"]


def test_two_megabytes_are_counted_as_sent() -> None:
    """An item that is too large with its escapes is 413, though its text would fit."""
    with an_account() as (_, client):
        container = a_container(client)
        container.create_item(ITEM | {"text": "é" * 300_000})
        with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
            container.create_item(ITEM | {"id": "2", "text": "é" * 400_000})
        assert refused.value.status_code == 413


def test_a_key_in_the_filter_needs_no_key_beside_it() -> None:
    """A query that fixes the partition key goes to that partition, ordered and limited."""
    with an_account() as (_, client):
        container = a_container(client)
        for user in ("a", "b"):
            for number in range(3):
                container.create_item({"id": f"{number}", "pk": user, "n": number})
        query = "SELECT TOP 2 VALUE c.n FROM c WHERE c.pk = @u AND c.n < 9 ORDER BY c.n DESC"
        given: list[dict[str, object]] = [{"name": "@u", "value": "b"}]
        assert list(container.query_items(query, parameters=given)) == [2, 1]  # type: ignore[comparison-overlap]
        with pytest.raises(exceptions.CosmosHttpResponseError):
            list(container.query_items("SELECT * FROM c WHERE c.pk = 'a' OR c.pk = 'b'"))


def test_many_items_are_read_at_once() -> None:
    """Hundreds of keys in one query are answered, by id and by partition."""
    with an_account() as (cosmos, client):
        container = a_container(client)
        keys = [(f"{number}", f"p{number % 7}") for number in range(400)]
        for item_id, user in keys:
            container.create_item({"id": item_id, "pk": user})
        before = cosmos.storage.rows_read
        assert len(container.read_items(keys[:300])) == 300
        assert cosmos.storage.rows_read - before <= 600


@pytest.mark.parametrize("terms", [88, 1000, 5000])
@pytest.mark.parametrize("join", [" OR ", " AND ", " OR c.n = 0 AND c.n != "])
def test_long_chains_are_answered(terms: int, join: str) -> None:
    """Conditions joined by AND and OR may be long: nothing nests with their number."""
    with an_account() as (_, client):
        container = a_container(client)
        container.create_item(ITEM)
        chain = join.join(
            f"c.n {'=' if 'OR' in join else '!='} {number}" for number in range(2, terms)
        )
        expected = ["1"] if join == " AND " else []
        query = f"SELECT VALUE c.id FROM c WHERE ({chain})"
        if join.startswith(" OR c"):
            query = query.replace("c.n != c.n =", "c.n !=")
        assert rows_of(container, query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "SELECT VALUE " + "1 + " * 3000 + "1",
        "SELECT VALUE " + "NOT " * 3000 + "true",
        "SELECT VALUE " + "-" * 1 + "- " * 3000 + "1",
        "SELECT VALUE c" + ".x" * 3000 + " FROM c",
        "SELECT VALUE " + "1 ? 1 : " * 3000 + "1",
        "SELECT VALUE " + "'a' || " * 3000 + "'a'",
        "SELECT * FROM c WHERE " + "(c.a = 1 AND (c.b = 1 OR " * 45 + "true" + "))" * 45,
        "SELECT * FROM c WHERE " + "c.n = 1 = " * 300 + "true",
        "SELECT * FROM c WHERE c.n IN (" + ", ".join(map(str, range(9000))) + ")",
        "SELECT * FROM c WHERE c.id IN (" + ", ".join(f"'{n}'" for n in range(20000)) + ")",
        "SELECT * FROM c JOIN t IN c.t" + " JOIN t IN c.t" * 500,
    ],
)
def test_no_chain_is_an_internal_error(query: str) -> None:
    """What is too deep is refused, what is long is answered; 500 is for faults only."""
    with an_account() as (cosmos, client):
        a_container(client).create_item(ITEM)
        answer = send(
            cosmos, "POST", "/dbs/db/colls/c/docs", {"query": query},
            content_type="application/query+json", x_ms_documentdb_isquery="true",
            x_ms_documentdb_partitionkey='["a"]',
        )  # fmt: skip
        assert answer.status in (200, 400)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT VALUE c[@name] FROM c", [1]),
        ("SELECT VALUE c.o[@name] FROM c", [2]),
        ("SELECT VALUE c.id FROM c ORDER BY c[@name]", ["1"]),
        ("SELECT VALUE c.id FROM c WHERE c[@name] = 1", ["1"]),
    ],
)
def test_a_parameter_names_a_property(query: str, expected: list[object]) -> None:
    """A name in brackets may be a parameter, also where a path is needed."""
    with an_account() as (_, client):
        container = a_container(client)
        container.create_item(ITEM | {"o": {"n": 2}})
        assert rows_of(container, query, name="n") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT VALUE COUNT(1) FROM c ORDER BY c.n", [1]),
        ("SELECT VALUE MAX(c.n) FROM c ORDER BY c._ts DESC", [1]),
        ("SELECT VALUE ARRAY(SELECT VALUE t FROM t IN c.tags WHERE t != 'x') FROM c", [["y"]]),
        ("SELECT VALUE ARRAY (SELECT t AS t FROM t IN c.tags) FROM c", [[{"t": "x"}, {"t": "y"}]]),
    ],
)
def test_aggregates_and_arrays_of_subqueries(query: str, expected: list[object]) -> None:
    """One result needs no order, and a subquery can become a list."""
    with an_account() as (_, client):
        container = a_container(client)
        container.create_item(ITEM | {"tags": ["x", "y"]})
        assert rows_of(container, query) == expected
        everywhere = container.query_items(query, enable_cross_partition_query=True)
        assert list(everywhere) == expected


def test_a_patch_may_be_a_bare_list() -> None:
    """The list of operations needs no object around it."""
    with an_account() as (cosmos, client):
        a_container(client).create_item(ITEM)
        path, key = "/dbs/db/colls/c/docs/1", {"x_ms_documentdb_partitionkey": '["a"]'}
        step = {"op": "incr", "path": "/n", "value": 1}
        assert send(cosmos, "PATCH", path, [step], **key).status == 200
        assert send(cosmos, "PATCH", path, "x", **key).status == 400
        searching = {"operations": [step], "condition": "from c where FullTextContains(c.n, 'x')"}
        assert send(cosmos, "PATCH", path, searching, **key).status == 400
        assert cosmos.rows("c")[0]["n"] == 2


def test_a_refused_query_comes_with_its_plan() -> None:
    """The JavaScript SDK reads the plan from the refusal itself."""
    with an_account() as (cosmos, client):
        a_container(client)
        answer = send(
            cosmos, "POST", "/dbs/db/colls/c/docs", {"query": "SELECT VALUE COUNT(1) FROM c"},
            content_type="application/query+json",
            x_ms_documentdb_query_enablecrosspartition="true",
        )  # fmt: skip
        body = json.loads(answer.body)
        assert (answer.status, answer.headers["x-ms-substatus"]) == (400, "1004")
        assert json.loads(body["additionalErrorInfo"])["queryInfo"]["aggregates"] == ["Count"]


def test_a_hierarchical_prefix_is_a_range() -> None:
    """A key with its first parts only is the range of all keys that start with them."""
    with an_account() as (cosmos, client):
        key = {"paths": ["/t", "/pk"], "kind": "MultiHash", "version": 2}
        container = a_container(client, partitionKey=key)
        for tenant in ("x", "y"):
            container.create_item({"id": "1", "t": tenant, "pk": "a"})
        headers = {
            "content_type": "application/query+json", "x_ms_documentdb_isquery": "true",
            "x_ms_documentdb_partitionkey": '["x"]',
        }  # fmt: skip
        query = {"query": "SELECT VALUE c.t FROM c"}
        answer = send(cosmos, "POST", "/dbs/db/colls/c/docs", query, **headers)
        assert json.loads(answer.body)["Documents"] == ["x"]
        too_long = headers | {"x_ms_documentdb_partitionkey": '["x", "a", "b"]'}
        assert send(cosmos, "POST", "/dbs/db/colls/c/docs", query, **too_long).status == 400
