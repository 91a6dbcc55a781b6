"""The query language: what it selects, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from azure.cosmos import exceptions
from azure.cosmos.aio import ContainerProxy

from cosmos_local.values import UNDEFINED

pytestmark = pytest.mark.anyio

DOCUMENTS: list[dict[str, Any]] = [
    {
        "id": "1",
        "n": 1,
        "tags": ["red", "all"],
        "name": "Ann",
        "o": {"k": 1},
        "list": [{"x": 1}, {"x": 2}],
    },
    {"id": "2", "n": 2, "tags": ["blue"], "name": "bob", "o": {"k": 2}, "list": []},
    {"id": "3", "n": 3, "name": "Ann", "o": {"k": 1}, "nil": None, "list": [{"x": 3}]},
    {"id": "4", "name": "50%", "o": {"k": "1"}, "flag": True},
]


@pytest.fixture
async def people(memory: ContainerProxy) -> ContainerProxy:
    """Store four documents of one user, and one of another."""
    for document in DOCUMENTS:
        await memory.create_item({"user_id": "a", **document})
    await memory.create_item({"id": "5", "user_id": "b", "n": 9, "name": "Ann"})
    return memory


async def select(container: ContainerProxy, query: str, **parameters: object) -> list[Any]:
    """Query user a's partition."""
    given: list[dict[str, object]] = [
        {"name": f"@{name}", "value": value} for name, value in parameters.items()
    ]
    return [
        item async for item in container.query_items(query, parameters=given, partition_key="a")
    ]


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("c.n = 1", "1"),
        ("c.n = '1'", ""),
        ("c.n != 1", "23"),
        ("c.n > 1 AND c.n <= 3", "23"),
        ("c.n < 2 OR c.n > 2", "13"),
        ("NOT (c.n = 1)", "23"),
        ("NOT c.flag", ""),
        ("c.flag", "4"),
        ("c.flag = true", "4"),
        ("c.flag = 1", ""),
        ("c.nil = null", "3"),
        ("IS_NULL(c.nil)", "3"),
        ("c.nil != 1", "3"),
        ("NOT IS_DEFINED(c.n)", "4"),
        ("c.missing = c.missing", ""),
        ("c.o = {'k': 1}", "13"),
        ("c.o.k = 1", "13"),
        ('c["o"]["k"] = 1', "13"),
        ("c.list[0].x = 1", "1"),
        ("c.n IN (1, 3, '2')", "13"),
        ("c.n NOT IN (1, 3)", "2"),
        ("c.n BETWEEN 2 AND 3", "23"),
        ("c.name LIKE 'A%'", "13"),
        ("c.name LIKE '_ob'", "2"),
        ("c.name LIKE '50!%' ESCAPE '!'", "4"),
        ("c.name LIKE '[ab]ob'", "2"),
        ("c.name NOT LIKE 'A%'", "24"),
        ("STARTSWITH(c.name, 'a')", ""),
        ("STARTSWITH(c.name, 'a', true)", "13"),
        ("CONTAINS(c.name, 'N')", ""),
        ("CONTAINS(c.name, 'N', true)", "13"),
        ("ENDSWITH(c.name, 'b')", "2"),
        ("REGEXMATCH(c.name, '^A.n$')", "13"),
        ("REGEXMATCH(c.name, '^a', 'i')", "13"),
        ("ARRAY_CONTAINS(c.tags, 'red')", "1"),
        ("ARRAY_CONTAINS(c.list, {'x': 3}, true)", "3"),
        ("ARRAY_CONTAINS_ANY(c.tags, 'red', 'blue')", "12"),
        ("ARRAY_LENGTH(c.list) = 0", "2"),
        ("EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 'blue')", "2"),
        ("(SELECT VALUE COUNT(1) FROM x IN c.list) = 2", "1"),
        ("c.n + 1 = 3", "2"),
        ("c.n * 2 > 3 AND c.n % 2 = 0", "2"),
        ("c.n / 0 = 1", ""),
        ("c.name || '!' = 'bob!'", "2"),
        ("(c.n ?? 7) = 7", "4"),
        ("(c.n > 1 ? 'big' : 'small') = 'small'", "14"),
        ("IIF(c.n > 1, true, false)", "23"),
        ("c.name > 'B'", "2"),
        ("c.n > 'B'", ""),
        ("true", "1234"),
        ("undefined", ""),
        ("1 < 2 -- a comment", "1234"),
    ],
)
async def test_a_filter_selects(people: ContainerProxy, where: str, ids: str) -> None:
    """Each operator and predicate means what the service's documentation says."""
    found = await select(people, f"SELECT VALUE c.id FROM c WHERE {where}")
    assert "".join(found) == ids


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("SELECT c.n, c.o.k FROM c WHERE c.id = '1'", [{"n": 1, "k": 1}]),
        ("SELECT c.n AS a, 1, 'x' FROM c WHERE c.id = '4'", [{"$1": 1, "$2": "x"}]),
        (
            "SELECT VALUE {'a': c.n, 'b': [c.nil, c.zz]} FROM c WHERE c.id = '3'",
            [{"a": 3, "b": [None]}],
        ),
        ("SELECT VALUE c.n FROM c ORDER BY c.n DESC", [3, 2, 1]),
        ("SELECT c.n FROM c ORDER BY c.n", [{}, {"n": 1}, {"n": 2}, {"n": 3}]),
        ("SELECT TOP 2 VALUE c.id FROM c", ["1", "2"]),
        ("SELECT VALUE c.id FROM c ORDER BY c.id OFFSET 1 LIMIT 2", ["2", "3"]),
        ("SELECT DISTINCT VALUE c.name FROM c", ["Ann", "bob", "50%"]),
        ("SELECT DISTINCT c.o.k FROM c", [{"k": 1}, {"k": 2}, {"k": "1"}]),
        ("SELECT VALUE COUNT(1) FROM c", [4]),
        ("SELECT VALUE COUNT(c.n) FROM c", [3]),
        ("SELECT VALUE SUM(c.n) FROM c", [6]),
        ("SELECT VALUE AVG(c.n) FROM c", [2]),
        ("SELECT VALUE SUM(c.name) FROM c", []),
        ("SELECT MIN(c.n) AS low, MAX(c.name) AS high FROM c", [{"low": 1, "high": "bob"}]),
        ("SELECT VALUE COUNT(1) FROM c WHERE false", [0]),
        ("SELECT c.name, COUNT(1) AS n FROM c GROUP BY c.name", [
            {"name": "Ann", "n": 2}, {"name": "bob", "n": 1}, {"name": "50%", "n": 1}]),
        ("SELECT VALUE t FROM c JOIN t IN c.tags", ["red", "all", "blue"]),
        ("SELECT c.id, x.x FROM c JOIN x IN c.list", [
            {"id": "1", "x": 1}, {"id": "1", "x": 2}, {"id": "3", "x": 3}]),
        ("SELECT VALUE x.x FROM x IN c.list", [1, 2, 3]),
        ("SELECT VALUE k FROM c.o.k", [1, 2, 1, "1"]),
        ("SELECT VALUE z.n FROM (SELECT c.n FROM c WHERE c.n > 1) AS z", [2, 3]),
        (
            "SELECT VALUE ARRAY(SELECT VALUE x.x + 1 FROM x IN c.list) FROM c WHERE c.id = '1'",
            [[2, 3]],
        ),
        ("SELECT VALUE 1 + 1", [2]),
        ("SELECT VALUE -c.n FROM c WHERE c.id = '1'", [-1]),
        ("SELECT VALUE root.n FROM root WHERE root.id = '1'", [1]),
    ],
)  # fmt: skip
async def test_a_query_shapes_its_results(
    people: ContainerProxy, query: str, wanted: list[object]
) -> None:
    """Projections, windows, groups and joins give what the service gives."""
    assert await select(people, query) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("UPPER('a') || LOWER('B')", "Ab"),
        ("LENGTH('abc')", 3),
        ("SUBSTRING('abcdef', 1, 3)", "bcd"),
        ("LEFT('abc', 2) || RIGHT('abc', 1)", "abc"),
        ("INDEX_OF('abc', 'c')", 2),
        ("REPLACE('aXb', 'X', '-')", "a-b"),
        ("REVERSE(TRIM(' ab '))", "ba"),
        ("CONCAT('a', 'b', 'c')", "abc"),
        ("TOSTRING(1.5)", "1.5"),
        ("STRINGTONUMBER('12')", 12),
        ("STRINGEQUALS('a', 'A', true)", True),
        ("ABS(-2) + FLOOR(1.9) + CEILING(0.1) + ROUND(0.5)", 5),
        ("POWER(2, 3) + SQRT(4)", 10),
        ("ARRAY_SLICE([1, 2, 3], 1, 1)", [2]),
        ("ARRAY_CONCAT([1], [2])", [1, 2]),
        ("SETUNION([1, 2], [2, 3])", [1, 2, 3]),
        ("SETINTERSECT([1, 2], [2, 3])", [2]),
        ("CHOOSE(2, 'a', 'b')", "b"),
        (
            "IS_NUMBER(1) AND IS_STRING('a') AND IS_ARRAY([]) AND IS_OBJECT({}) AND IS_BOOL(true)",
            True,
        ),
        ("DATETIMEADD('dd', -1, '2026-01-01T00:00:00.0000000Z')", "2025-12-31T00:00:00.0000000Z"),
        ("DATETIMEADD('mm', 1, '2026-01-31T00:00:00.0000000Z')", "2026-02-28T00:00:00.0000000Z"),
        ("DATETIMEDIFF('hour', '2026-01-01', '2026-01-02')", 24),
        ("DATETIMETOTIMESTAMP('1970-01-01T00:00:01.0000000Z')", 1000),
        ("TIMESTAMPTODATETIME(1000)", "1970-01-01T00:00:01.0000000Z"),
        (r"'it\'s \u00e9 \n'", "it's é \n"),
        ('"double"', "double"),
        ("1e3 + .5", 1000.5),
        ("[ROUND(2.375, 2), ROUND(-2.5)]", [2.38, -3]),
        ("STRINGTOARRAY('[1, 2]')", [1, 2]),
        ("STRINGTOOBJECT('{\"a\": 1}')", {"a": 1}),
        ("STRINGTOBOOLEAN(' true ')", True),
        ("[STRINGTONULL('null'), STRINGTONULL('1')]", [None]),
        ("STRINGSPLIT('a,b', ',')", ["a", "b"]),
        ("STRINGSPLIT('ab', '')", ["ab"]),
        ("STRINGJOIN(['a', 'b'], '-')", "a-b"),
        ("LASTINDEXOF('abcab', 'ab')", 3),
        ("OBJECTTOARRAY({'a': 1})", [{"k": "a", "v": 1}]),
        ("OBJECTTOARRAY({'a': 1}, 'name', 'value')", [{"name": "a", "value": 1}]),
        ("SETDIFFERENCE([1, 2, 2], [1])", [2]),
        ("IS_FINITE_NUMBER(1) AND NOT IS_FINITE_NUMBER('1')", True),
        ("ROUND(DEGREES(ACOS(0) + ASIN(1) + ATAN(1) + ATN2(1, 1)))", 270),
        ("ROUND(COT(RADIANS(45)), 9)", 1.0),
        ("NUMBERBIN(37, 10)", 30),
        (
            "[INTADD(1, 2), INTSUB(1, 2), INTMUL(2, 3), INTDIV(-7, 2), INTMOD(-7, 2)]",
            [3, -1, 6, -3, -1],
        ),
        ("[INTBITAND(6, 3), INTBITOR(6, 3), INTBITXOR(6, 3), INTDIV(1, 0)]", [2, 7, 5]),
        ("INTADD(9223372036854775807, 1)", -(2.0**63)),
        ("DATETIMEPART('yyyy', '2026-11-30T12:34:56.1234567Z')", 2026),
        ("DATETIMEPART('ns', '2026-11-30T12:34:56.1234567Z')", 123456700),
        ("DATETIMEPART('mcs', '2026-11-30T12:34:56.1234567Z')", 123456),
        ("DATETIMEPART('week', '2026-11-30')", UNDEFINED),
        (
            "DATETIMEDIFF('yyyy', '2028-01-01T01:02:03.1234527Z', '2020-01-03T01:02:03.1234567Z')",
            -7,
        ),
        ("DATETIMEDIFF('mm', '2028-01-01T01:02:03.1234527Z', '2020-01-03T01:02:03.1234567Z')", -95),
        ("DATETIMEDIFF('ns', '2020-01-01T00:00:00.0000001Z', '2020-01-01')", -100),
        ("DATETIMEADD('ns', 100, '2026-01-01T00:00:00.0000000Z')", "2026-01-01T00:00:00.0000001Z"),
        ("DATETIMEADD('yyyy', 9000, '2026-01-01')", UNDEFINED),
        ("DATETIMEBIN('2026-06-28T17:24:29.2991234Z', 'dd', 1)", "2026-06-28T00:00:00.0000000Z"),
        ("DATETIMEBIN('2026-06-28', 'mm', 1)", UNDEFINED),
        ("DATETIMEFROMPARTS(2026, 1, 2, 3, 4, 5, 6789)", "2026-01-02T03:04:05.0006789Z"),
        ("DATETIMEFROMPARTS(2026, 13, 2)", UNDEFINED),
        ("DATETIMETOTICKS('1970-01-01T00:00:01.0000000Z')", 10_000_000),
        ("TICKSTODATETIME(10000000)", "1970-01-01T00:00:01.0000000Z"),
        ("GETCURRENTTICKS() / GETCURRENTTIMESTAMP() >= 10000", True),
    ],
)
async def test_a_function_computes(memory: ContainerProxy, expression: str, wanted: object) -> None:
    """The built-in functions compute what their names say."""
    found = await select(memory, f"SELECT VALUE {expression}")
    assert found == ([] if wanted is UNDEFINED else [wanted])


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("SELEC * FROM c", "SELEC"),
        ("SELECT * FROM c WHERE", ""),
        ("SELECT * FROM c WHERE c.x == 1", "="),
        ("SELECT c.value FROM c", "value"),
        ("SELECT c.order FROM c", "order"),
        ("SELECT * FROM c WHERE c.x = 'it''s'", "'s'"),
        ("SELECT * FROM c WHERE c.x & 1 = 1", "&"),
        ("SELECT * FROM c WHERE c.x = 1 = 2", "="),
        ("SELECT * FROM c LIMIT 5", "LIMIT"),
        ("SELECT * FROM c WHERE nosuch(c.x)", "nosuch"),
        ("SELECT * FROM c WHERE udf.f(c.x)", "("),
        ("SELECT * FROM c LEFT JOIN t IN c.tags", "LEFT"),
        ("SELECT * FROM c WHERE lower()", "lower"),
        ("SELECT * FROM c WHERE d.x = 1", "d"),
        ("SELECT * FROM c WHERE c.x = @missing", "@missing"),
        ("SELECT VALUE x FROM c JOIN c IN c.tags", "c"),
        ("SELECT * FROM c WHERE COUNT(1) > 1", "COUNT"),
        ("SELECT c.id, COUNT(1) AS n FROM c", "c"),
        ("SELECT * FROM c WHERE FULLTEXTSCORE(c.text, 'x') > 0", "FULLTEXTSCORE"),
        ("SELECT _FULLTEXTWORDCOUNT(c.text) FROM c", "_FULLTEXTWORDCOUNT"),
        (r"SELECT '\q' FROM c", r"'\q'"),
    ],
)
async def test_an_error_points_at_its_place(memory: ContainerProxy, query: str, word: str) -> None:
    """A query that is not understood is 400, with the place of the word that was not."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await select(memory, query)
    assert refused.value.status_code == 400
    body = json.loads(refused.value.message.partition("Message: ")[2].splitlines()[0])
    place = body["errors"][0]["location"]
    assert query[place["start"] : place["end"]] == word


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM c ORDER BY c.kind, c.seq",
        "SELECT * FROM c ORDER BY c.last_active_at DESC, c.id",
        "SELECT * FROM c ORDER BY c.text",
        "SELECT * FROM c ORDER BY c.summary.to_seq",
        "SELECT * FROM c ORDER BY c.n + 1",
        "SELECT * FROM c ORDER BY LOWER(c.name)",
        "SELECT c.name FROM c GROUP BY c.name ORDER BY c.name",
        "SELECT DISTINCT c.name FROM c ORDER BY c.n",
        "SELECT TOP 1 c.id FROM c JOIN t IN c.tags ORDER BY RANK FullTextScore(c.text, 'x')",
        "SELECT * FROM c JOIN t IN c.tags",
        "SELECT *",
        "SELECT TOP 1 * FROM c OFFSET 0 LIMIT 1",
        "SELECT TOP -1 * FROM c",
        "SELECT TOP 1.5 * FROM c",
        "SELECT c.a, d.a FROM c JOIN d IN c.list",
        "SELECT * FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags ORDER BY t)",
        "SELECT * FROM c WHERE EXISTS(SELECT VALUE 1 FROM other)",
        "SELECT VALUE REGEXMATCH('a', '(')",
        "SELECT * FROM c ORDER BY VectorDistance(c.embedding, @v)",
        "SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.embedding, [1, 2])",
        "SELECT TOP 1 * FROM c ORDER BY VectorDistance(c.embedding, @v) DESC",
        "SELECT * FROM c ORDER BY RANK FullTextScore(c.text, 'x')",
        "SELECT TOP 1 * FROM c ORDER BY RANK FullTextScore(c.text, 5)",
        "SELECT TOP 1 * FROM c ORDER BY RANK RRF(FullTextScore(c.text, 'x'))",
        (
            "SELECT TOP 1 * FROM c ORDER BY RANK "
            "RRF(FullTextScore(c.text, 'x'), FullTextScore(c.text, 'y'), [1])"
        ),
        "SELECT TOP 1 * FROM c ORDER BY RANK LOWER(c.name)",
        "SELECT VALUE " + "(" * 150 + "1" + ")" * 150,
    ],
)
async def test_what_no_index_or_rule_allows_is_refused(memory: ContainerProxy, query: str) -> None:
    """Orders without an index, searches without a policy or a limit, and odd shapes are 400."""
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await select(memory, query, v=[0.1] * 512)
    assert refused.value.status_code == 400


@pytest.mark.parametrize(
    "order",
    [
        "c.last_active_at DESC, c.id DESC",
        "c.last_active_at ASC, c.id ASC",
        "c.last_active_at, c.id",
    ],
)
async def test_a_composite_index_serves_both_directions(memory: ContainerProxy, order: str) -> None:
    """The declared order and its exact reverse are allowed."""
    assert await select(memory, f"SELECT * FROM c ORDER BY {order}") == []


@pytest.mark.parametrize(
    "order", ["", " ORDER BY c.n", " ORDER BY c.n DESC", " ORDER BY c.name OFFSET 1 LIMIT 3"]
)
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_pages_together_are_the_whole(people: ContainerProxy, order: str, size: int) -> None:
    """However small the pages, nothing is left out and nothing comes twice."""
    query = f"SELECT VALUE c.id FROM c{order}"
    whole = await select(people, query)
    pages = people.query_items(query, partition_key="a", max_item_count=size).by_page()
    found = [[item async for item in page] async for page in pages]
    assert [item for page in found for item in page] == whole
    assert all(len(page) <= size for page in found)


async def test_a_page_goes_on_where_it_stopped_while_items_come_and_go(
    people: ContainerProxy,
) -> None:
    """A continuation is a place in the order, not a count."""
    query = "SELECT VALUE c.id FROM c ORDER BY c.id"
    pages: Any = people.query_items(query, partition_key="a", max_item_count=2).by_page()
    first = [item async for item in await anext(pages)]
    await people.delete_item("1", "a")
    await people.create_item({"id": "35", "user_id": "a"})
    rest = [item async for page in pages async for item in page]
    assert (first, rest) == (["1", "2"], ["3", "35", "4"])


async def test_a_token_of_another_query_is_refused(people: ContainerProxy) -> None:
    """A continuation only continues its own query."""
    pages: Any = people.query_items(
        "SELECT * FROM c", partition_key="a", max_item_count=1
    ).by_page()
    _ = [item async for item in await anext(pages)]
    other = people.query_items("SELECT VALUE c.id FROM c", partition_key="a", max_item_count=1)
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await anext(other.by_page(pages.continuation_token))
    assert refused.value.status_code == 400
