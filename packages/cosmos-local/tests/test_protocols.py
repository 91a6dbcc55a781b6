"""What the .NET and Java SDKs send, and the Python SDK does not: answered, or refused clearly."""

from __future__ import annotations

import json

import pytest

from accounts import a_container, an_account, send
from cosmos_local.keys import KeyDefinition

DOCS = "/dbs/db/colls/c/docs"
QUERY = {
    "content_type": "application/query+json",
    "x_ms_documentdb_isquery": "true",
    "x_ms_documentdb_query_enablecrosspartition": "true",
}
PLAN = {
    "content_type": "application/query+json",
    "x_ms_cosmos_is_query_plan_request": "True",
    "x_ms_cosmos_supported_query_features": "Aggregate, GroupBy, NonValueAggregate, OrderBy",
}


@pytest.mark.parametrize(
    ("version", "value", "place"),
    [
        (2, "p1", "062B23DEC15212F01B9A85F4E93A940C"),
        (2, "", "32E9366E637A71B4E710384B2F4970A0"),
        (2, 1, "20CD98B339BA78A5D0CF6953B87070B0"),
        (2, 1.5, "35C5DDEB6C795D16A9963C73C54E97BC"),
        (2, -3, "30478B3D0E0AD5DBC95C665464636106"),
        (2, True, "0E711127C5B5A8E4726AC6DD306A3E59"),
        (2, None, "378867E4430E67857ACE5C908374FE16"),
        (2, {}, "11622DAA78F835834610ABE56EFF5CB5"),
        (1, "p1", "05C1CFEDCF076008713200"),
        (1, 1, "05C1ED172B6B2605BFF0"),
        (1, -3, "05C1C17F27ADE8053FF8"),
    ],
)
def test_a_key_is_placed_where_the_dotnet_sdk_looks(
    version: int, value: object, place: str
) -> None:
    """The hash of a key is that of another SDK, whose values these are."""
    assert KeyDefinition((("pk",),), "Hash", version, 4).hash([value]) == place


@pytest.mark.parametrize(
    "header",
    [
        "x_ms_cosmos_use_thinclient",
        "x_ms_noretry_449",
        "x_ms_cosmos_supported_serialization_formats",
        "x_ms_cosmos_query_optimisticdirectexecute",
        "x_ms_cosmos_populateindexmetrics_V2",
        "x_ms_documentdb_query_enable_low_precision_order_by",
        "x_ms_cosmos_populatequeryadvice",
    ],
)
def test_headers_without_meaning_here_are_understood(header: str) -> None:
    """Requests with them are answered as without."""
    with an_account() as (cosmos, client):
        a_container(client)
        asked = QUERY | {header.lower(): "true"}
        assert send(cosmos, "POST", DOCS, {"query": "SELECT * FROM c"}, **asked).status == 200


def test_the_account_configures_the_query_engine() -> None:
    """The .NET SDK needs a configuration that is not empty."""
    with an_account() as (cosmos, _):
        account = json.loads(send(cosmos, "GET", "/").body)
        assert json.loads(account["queryEngineConfiguration"])["maxSqlQueryInputLength"] > 0


def test_direct_mode_is_refused_clearly() -> None:
    """The addresses a client in direct mode asks for are 403, with what to do."""
    with an_account() as (cosmos, _):
        answer = send(cosmos, "GET", "/addresses/")
        assert (answer.status, b"gateway mode" in answer.body) == (403, True)


def test_a_binary_batch_is_refused_clearly() -> None:
    """A batch in HybridRow is 400, by that name."""
    with an_account() as (cosmos, client):
        a_container(client)
        headers = {
            "x_ms_cosmos_is_batch_request": "True", "x_ms_cosmos_batch_atomic": "True",
            "x_ms_documentdb_partitionkey": '["a"]',
        }  # fmt: skip
        from cosmos_local import LOCAL_KEY, WireRequest  # noqa: PLC0415 - bytes, not JSON
        from cosmos_local.authority import sign  # noqa: PLC0415 - as above

        named = {name.replace("_", "-"): value for name, value in headers.items()}
        signed = named | sign("POST", DOCS, LOCAL_KEY)
        answer = cosmos.gateway.respond(WireRequest("POST", DOCS, signed, b"\x81\xf0\xd8\xff"))
        assert (answer.status, b"binary" in answer.body) == (400, True)


@pytest.mark.parametrize("member", ["clientQLCompatibilityLevel", "passThrough"])
def test_members_of_a_query_without_meaning_are_understood(member: str) -> None:
    """They change nothing for a gateway that plans queries itself."""
    with an_account() as (cosmos, client):
        a_container(client)
        body = {"query": "SELECT * FROM c", member: 0}
        assert send(cosmos, "POST", DOCS, body, **QUERY).status == 200
        assert send(cosmos, "POST", DOCS, body | {"resumeFilter": {}}, **QUERY).status == 400


@pytest.mark.parametrize(
    ("query", "rewritten", "types"),
    [
        (
            "SELECT c.n, COUNT(1) AS k FROM c GROUP BY c.n",
            (
                'SELECT [{"item": c["n"]}] AS groupByItems, '
                '{"n": c["n"], "k": {"item": COUNT(1)}} AS payload FROM c AS c GROUP BY c["n"]'
            ),
            {"n": None, "k": "Count"},
        ),
        (
            "SELECT COUNT(1) AS k, SUM(c.n) FROM c",
            'SELECT {"k": {"item": COUNT(1)}, "$2": {"item": SUM(c["n"])}} AS payload FROM c AS c',
            {"k": "Count", "$2": "Sum"},
        ),
    ],
)
def test_a_plan_has_groups_for_those_who_can_merge_them(
    query: str, rewritten: str, types: dict[str, object]
) -> None:
    """Groups and several aggregates are planned when the client's features name them."""
    with an_account() as (cosmos, client):
        a_container(client)
        answer = send(cosmos, "POST", DOCS, {"query": query}, **PLAN)
        info = json.loads(answer.body)["queryInfo"]
        assert info["rewrittenQuery"] == rewritten
        assert info["groupByAliasToAggregateType"] == types
        without = PLAN | {"x_ms_cosmos_supported_query_features": "Aggregate"}
        assert send(cosmos, "POST", DOCS, {"query": query}, **without).status == 400


@pytest.mark.parametrize(
    "query",
    [
        "SELECT VALUE COUNT(1) FROM c GROUP BY c.n",
        "SELECT SUM(c.n) / COUNT(1) AS mean, c.m FROM c GROUP BY c.m",
    ],
)
def test_a_group_that_cannot_be_merged_is_refused(query: str) -> None:
    """A composition of aggregates is 400, as in the service."""
    with an_account() as (cosmos, client):
        a_container(client)
        assert send(cosmos, "POST", DOCS, {"query": query}, **PLAN).status == 400


def test_the_places_of_statistics_are_counted_among_texts() -> None:
    """The first text component fills in the first statistics, wherever it is in RRF."""
    with an_account() as (cosmos, client):
        a_container(client)
        rank = "RRF(VectorDistance(c.v, [1, 0]), FullTextScore(c.text, 'fox'))"
        query = {"query": f"SELECT TOP 2 * FROM c ORDER BY RANK {rank}"}
        plan = json.loads(send(cosmos, "POST", DOCS, query, **PLAN).body)
        components = plan["hybridSearchQueryInfo"]["componentQueryInfos"]
        assert "totalwordcount-0}" in components[1]["rewrittenQuery"]
        assert "totalwordcount-1}" not in components[1]["rewrittenQuery"]


def test_a_container_has_an_etag() -> None:
    """A replace or a delete with another ETag is 412."""
    with an_account() as (cosmos, client):
        container = a_container(client).read()
        body = {"id": "c", "partitionKey": container["partitionKey"], "defaultTtl": 9}
        path = "/dbs/db/colls/c"
        assert send(cosmos, "PUT", path, body, if_match='"no"').status == 412
        assert send(cosmos, "PUT", path, body, if_match=container["_etag"]).status == 200
        assert send(cosmos, "DELETE", path, if_match=container["_etag"]).status == 412


def test_a_subquery_in_from_needs_no_alias() -> None:
    """Distinct values are counted by a subquery without a name."""
    with an_account() as (cosmos, client):
        container = a_container(client)
        for number in range(4):
            container.create_item({"id": f"{number}", "pk": "a", "n": number % 2})
        query = {"query": "SELECT VALUE COUNT(1) FROM (SELECT DISTINCT VALUE c.n FROM c)"}
        headers = QUERY | {"x_ms_documentdb_partitionkey": '["a"]'}
        answer = send(cosmos, "POST", DOCS, query, **headers)
        assert json.loads(answer.body)["Documents"] == [2]
