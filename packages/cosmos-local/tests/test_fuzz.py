"""Random queries: never an internal error, and the planner never loses a document."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosmos_local import LOCAL_KEY, LocalCosmos, WireRequest, planner, syntax
from cosmos_local.authority import sign
from cosmos_local.checker import SEARCHES
from cosmos_local.evaluator import Compiler
from cosmos_local.functions import FUNCTIONS
from cosmos_local.parser import parse_query
from cosmos_local.render import render, render_query
from cosmos_local.select import Select, root_scope
from cosmos_local.storage import Area

SLOW = os.environ.get("KEEPSAKE_SLOW") == "1"
FUZZ = settings(
    max_examples=20_000 if SLOW else 200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
DECLARATION: dict[str, Any] = {
    "database": "db",
    "containers": [
        {
            "id": "c",
            "partitionKey": {"paths": ["/user_id"], "kind": "Hash"},
            "defaultTtl": -1,
            "indexingPolicy": {
                "indexingMode": "consistent",
                "includedPaths": [{"path": "/*"}],
                "excludedPaths": [],
                "fullTextIndexes": [{"path": "/text"}],
                "vectorIndexes": [{"path": "/v", "type": "flat"}],
            },
            "vectorEmbeddingPolicy": {
                "vectorEmbeddings": [
                    {
                        "path": "/v",
                        "dataType": "float32",
                        "distanceFunction": "cosine",
                        "dimensions": 2,
                    }
                ]
            },
            "fullTextPolicy": {
                "defaultLanguage": "en-US",
                "fullTextPaths": [{"path": "/text", "language": "en-US"}],
            },
        }
    ],
}
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -1.5, 2.0, 1e300, 2**62, 2**70, 9007199254740993]),
    st.sampled_from(["", "a", "ab", "B", "1", "é", "a\0b", "%_", "null", '{"k":1}', "\U0001f600"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["k", "a b", 'q"', "x"]), inner, max_size=2),
    ),
    max_leaves=4,
)
NAMES = st.sampled_from(["n", "s", "k", "a b", 'q"', "x\\y"])
DOCUMENTS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=6)
ANYWHERE = syntax.Place(0, 0)
C = syntax.Name("c", ANYWHERE)

PATHS = st.lists(NAMES, min_size=1, max_size=2).map(
    lambda names: (
        syntax.Member(C, syntax.Literal(names[0]))
        if len(names) == 1
        else syntax.Member(syntax.Member(C, syntax.Literal(names[0])), syntax.Literal(names[1]))
    )
)
CONSTANTS = SCALARS.map(syntax.Literal)


def expressions(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Build expressions over leaves, with everything the grammar has."""
    comparisons = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
    logic = st.sampled_from(["AND", "OR"])
    others = st.sampled_from(["+", "-", "*", "/", "%", "||", "??"])
    names = st.sampled_from(
        sorted(name for name, function in FUNCTIONS.items() if function.least <= 2)
    )

    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            st.builds(syntax.Binary, st.one_of(comparisons, logic, others), inner, inner),
            st.builds(syntax.Unary, st.sampled_from(["NOT", "-"]), inner),
            st.builds(syntax.Between, inner, inner, inner),
            st.builds(syntax.In, inner, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(syntax.Like, inner, inner, st.none()),
            st.builds(syntax.Conditional, inner, inner, inner),
            st.builds(syntax.ArrayOf, st.lists(inner, max_size=2).map(tuple)),
            st.builds(syntax.Member, PATHS, inner),
            names.flatmap(
                lambda name: st.lists(
                    inner, min_size=FUNCTIONS[name].least, max_size=FUNCTIONS[name].least
                ).map(lambda arguments: syntax.Call(name, tuple(arguments), ANYWHERE))
            ),
        )

    return st.recursive(leaves, grow, max_leaves=6)


CONDITIONS = expressions(st.one_of(PATHS, CONSTANTS))
FILTERS = st.recursive(
    st.one_of(
        st.builds(
            syntax.Binary, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), PATHS, CONSTANTS
        ),
        st.builds(syntax.Binary, st.sampled_from(["=", "<", ">="]), CONSTANTS, PATHS),
        st.builds(syntax.Between, PATHS, CONSTANTS, CONSTANTS),
        st.builds(syntax.In, PATHS, st.lists(CONSTANTS, min_size=1, max_size=3).map(tuple)),
        st.builds(lambda path: syntax.Call("IS_DEFINED", (path,), ANYWHERE), PATHS),
        st.builds(
            lambda path, text: syntax.Call("STARTSWITH", (path, text), ANYWHERE), PATHS, CONSTANTS
        ),
    ),
    lambda inner: st.one_of(
        st.builds(syntax.Binary, st.sampled_from(["AND", "OR"]), inner, inner),
        st.builds(lambda operand: syntax.Unary("NOT", operand), inner),
    ),
    max_leaves=5,
)


def a_query(where: Any) -> syntax.Query:
    """Build a SELECT with a filter."""
    source = syntax.Source("c", C, None, iterates=False, place=ANYWHERE)
    return syntax.Query(columns=(), sources=(source,), where=where)


def ask(cosmos: LocalCosmos, query: str, *, key: str | None = '["a"]') -> int:
    """Send a query over the wire and return the status."""
    headers = {
        "content-type": "application/query+json",
        "x-ms-documentdb-isquery": "true",
        "x-ms-documentdb-query-enablecrosspartition": "true",
    }
    if key is not None:
        headers["x-ms-documentdb-partitionkey"] = key
    path = "/dbs/db/colls/c/docs"
    headers |= sign("POST", path, LOCAL_KEY)
    body = json.dumps({"query": query, "parameters": [{"name": "@p", "value": 1}]}).encode()
    return cosmos.gateway.respond(WireRequest("POST", path, headers, body)).status


def fill(cosmos: LocalCosmos, documents: list[dict[str, Any]]) -> None:
    """Store documents of user a."""
    path = "/dbs/db/colls/c/docs"
    for number, document in enumerate(documents):
        headers = {"x-ms-documentdb-partitionkey": '["a"]', "content-type": "application/json"}
        body = json.dumps({**document, "id": str(number), "user_id": "a"}).encode()
        signed = headers | sign("POST", path, LOCAL_KEY)
        assert cosmos.gateway.respond(WireRequest("POST", path, signed, body)).status == 201


PIECES = """
SELECT VALUE DISTINCT TOP FROM c c.n c.t WHERE AND OR NOT IN BETWEEN LIKE ESCAPE EXISTS ARRAY JOIN t
ORDER BY RANK DESC GROUP OFFSET LIMIT COUNT(1) SUM(c.n) ( ) [ ] { } , : ? ?? = != < > + - * / % || .
1 2.5 1e400 'a' "b" '\\ @p @q true null undefined RRF( FullTextScore(c.text,'a') c[@p] ; -- \0 é
FullTextContains(c.text,'a') VectorDistance(c.v,[1,2])
"""
WORDS = st.sampled_from([*PIECES.split(), *sorted(FUNCTIONS), *sorted(SEARCHES)])


@given(words=st.lists(WORDS, max_size=25), everywhere=st.booleans())
@FUZZ
def test_no_text_makes_the_gateway_fail(words: list[str], *, everywhere: bool) -> None:
    """Any words in any order are answered with 200 or 400."""
    cosmos = LocalCosmos.open(None, DECLARATION)
    fill(cosmos, [{"n": 1, "text": "a b", "v": [1, 2], "t": [1, {"x": 2}]}, {"n": "x"}, {}])
    status = ask(cosmos, " ".join(words), key=None if everywhere else '["a"]')
    cosmos.close()
    assert status in (200, 400)


@given(tail=st.lists(WORDS, max_size=12))
@FUZZ
def test_no_partly_valid_query_makes_the_gateway_fail(tail: list[str]) -> None:
    """A query that starts well and ends in any way is answered with 200 or 400."""
    cosmos = LocalCosmos.open(None, DECLARATION)
    fill(cosmos, [{"n": 1, "text": "a b", "v": [1, 2], "t": [1, {"x": 2}]}, {"n": "x"}, {}])
    beginnings = (
        "SELECT TOP 3 * FROM c WHERE",
        "SELECT TOP 3 * FROM c ORDER BY",
        "SELECT VALUE t FROM c JOIN",
    )
    statuses = {ask(cosmos, " ".join([beginning, *tail])) for beginning in beginnings}
    cosmos.close()
    assert statuses <= {200, 400}


@given(documents=DOCUMENTS, where=CONDITIONS)
@FUZZ
def test_every_expression_has_an_answer(documents: list[dict[str, Any]], where: Any) -> None:
    """Whatever the types, a well-formed expression is evaluated, or refused."""
    cosmos = LocalCosmos.open(None, DECLARATION)
    fill(cosmos, documents)
    status = ask(cosmos, render_query(a_query(where)))
    cosmos.close()
    assert status in (200, 400)


@given(
    parts=st.lists(FILTERS, min_size=1, max_size=3),
    times=st.sampled_from([1, 40, 300]),
    joined=st.sampled_from([" AND ", " OR "]),
)
@settings(FUZZ, max_examples=2000 if SLOW else 25)
def test_a_long_chain_has_an_answer(parts: list[Any], times: int, joined: str) -> None:
    """However many conditions are joined, the query is answered."""
    cosmos = LocalCosmos.open(None, DECLARATION)
    fill(cosmos, [{"n": 1}, {"s": "a"}])
    chain = joined.join([render(part) for part in parts] * times)
    status = ask(cosmos, f"SELECT * FROM c WHERE {chain}")
    cosmos.close()
    assert status == 200


@given(where=CONDITIONS)
@FUZZ
def test_a_written_query_reads_the_same(where: Any) -> None:
    """Rendering loses nothing: what it writes is parsed as what it was given."""
    tree = parse_query(render_query(a_query(where)))
    assert parse_query(render_query(tree)) == tree


@given(documents=DOCUMENTS, where=FILTERS)
@FUZZ
def test_the_planner_loses_nothing(documents: list[dict[str, Any]], where: Any) -> None:
    """What SQLite leaves out, the evaluator would have left out too."""
    cosmos = LocalCosmos.open(None, DECLARATION)
    fill(cosmos, documents)
    query = a_query(where)
    area = Area(cosmos.catalogue.container("db", "c").number, '["a"]')
    narrowed = planner.narrow(query, {}, ())
    found = {item.id for item in cosmos.storage.scan(area, 0, narrowed=narrowed)}
    select = Select(query, Compiler({}, 0))
    wanted = {
        item.id
        for item in cosmos.storage.scan(area, 0)
        if select.values(root_scope(item.document(), item.row))
    }
    cosmos.close()
    assert wanted <= found
