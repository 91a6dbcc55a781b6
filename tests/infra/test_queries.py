"""Each alert fires when it must, and only then, also before its tables exist."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from infra.kusto import TABLES, can_parse, distinct_queries, parse_queries
from infra.kusto.__main__ import main
from tests.infra.alert_rows import Rows, host_rows, line, put, request_lines
from tests.infra.kusto_engine import QUERIES, fires, minutes_ago
from tests.infra.planting import SNAPSHOTS
from tests.infra.product import MAX_WAITING, logged_fields

FIRES, QUIET = True, False
MISTAKES = {
    "an unknown table": ("AppTraces", "AppTrace"),
    "a table in lower case": ("AppTraces", "apptraces"),
    "an unknown column": ("Message startswith", "Mesage startswith"),
    "an unknown operator": ("| where", "| wher"),
    "an unknown function": ("toint(", "toInt("),
    "a misspelt string operator": ("startswith_cs", "startwith_cs"),
    "a group that the pattern lacks": ('", 1, Message)', '", 2, Message)'),
    "an invalid pattern": ("([0-9]+)", "([0-9+)"),
    "text compared with a number": ("toint(extract", "(extract"),
    "an assignment": ("OperationName ==", "OperationName ="),
    "an unclosed text": ('"OverQuota"', '"OverQuota'),
    "a parameter left in": ("> 5000", "> ${limit}"),
    "what alert rules refuse": ("| distinct OperationId", "| evaluate narrow()"),
}


@dataclass(frozen=True)
class Case:
    """Rows, and whether an alert must fire for them."""

    alert: str
    name: str
    fires: bool
    rows: Callable[[], Rows]


def requests(host: Sequence[int] = (), lines: Sequence[int] = ()) -> Callable[[], Rows]:
    """Requests with these statuses, as the host and as the app tell of them."""
    return lambda: {"AppRequests": host_rows(*host), "AppTraces": request_lines(*lines)}


def event(name: str, **fields: str | float) -> Callable[[], Rows]:
    """A line of the product's."""
    return lambda: {"AppTraces": [line(name, **fields)]}


def due(waiting: int, seconds: float) -> Callable[[], Rows]:
    """What the timer logs about due sessions."""
    return event("due_sessions", queued=3, waiting=waiting, oldest_seconds=seconds)


def logged(queue: str, **columns: object) -> Callable[[], Rows]:
    """What storage logs about a message."""
    return lambda: {"StorageQueueLogs": [put(queue, **columns)]}


def cap(**columns: str) -> Callable[[], Rows]:
    """What the workspace says of its daily cap."""
    detail = "The data collection stopped due to daily limit. Ingestion status = OverQuota"
    row = {"Category": "Ingestion", "Operation": "Data collection Status", "Level": "Warning"}
    return lambda: {"_LogOperation": [{**row, "Detail": detail, **columns}]}


def error_cases() -> Iterator[Case]:
    """More than ten failed requests, counted once each."""
    alert, many, few = "server-errors", [503] * 11, [503] * 10
    other = [{"Message": "x status=500", "OperationId": str(each)} for each in range(11)]
    yield Case(alert, "lines", FIRES, requests(lines=many))
    yield Case(alert, "few lines", QUIET, requests(lines=few))
    yield Case(alert, "lines of 500", FIRES, requests(lines=[500] * 11))
    yield Case(alert, "lines of 499", QUIET, requests(lines=[499] * 11))
    yield Case(alert, "rows of 500", FIRES, requests(host=[500] * 11))
    yield Case(alert, "rows of 499", QUIET, requests(host=[499] * 11))
    yield Case(alert, "a row and a line for each", QUIET, requests(host=few, lines=few))
    yield Case(alert, "some as a row only", FIRES, requests(host=many, lines=few))
    yield Case(alert, "no status", QUIET, lambda: {"AppRequests": [{"OperationId": "1"}] * 11})
    yield Case(alert, "other lines", QUIET, lambda: {"AppTraces": other})


def queue_cases() -> Iterator[Case]:
    """A message on a poison queue."""
    alert, queue = "poison-messages", "consolidate-session"
    poison = f"{queue}-poison"
    yield Case(alert, "poison", FIRES, logged(poison))
    yield Case(alert, "an ordinary message", QUIET, logged(queue))
    yield Case(alert, "a look at poison", QUIET, logged(poison, OperationName="PeekMessages"))
    yield Case(alert, "arrived late", FIRES, logged(poison, TimeGenerated=minutes_ago(25)))
    yield Case(alert, "long ago", QUIET, logged(poison, TimeGenerated=minutes_ago(31)))


def line_cases() -> Iterator[Case]:
    """Lines about sessions, and about the workspace itself."""
    dead, late = "dead-lettered-sessions", "oldest-due-session"
    lettered = event("session_dead_lettered", reason="x", subject="0123abcd")
    yield Case(dead, "dead-lettered", FIRES, lettered)
    yield Case(dead, "another event", QUIET, event("session_dead_lettered_x", n=1))
    yield Case("queue-backlog", "too many", FIRES, due(MAX_WAITING + 1, 0.0))
    yield Case("queue-backlog", "as many as may wait", QUIET, due(MAX_WAITING, 9999.0))
    yield Case(late, "late", FIRES, due(0, 900.5))
    yield Case(late, "just in time", QUIET, due(9999, 900.0))
    yield Case(late, "another event", QUIET, event("due", oldest_seconds=999.0))
    yield Case("daily-cap", "reached", FIRES, cap())
    yield Case("daily-cap", "not reached", QUIET, cap(Detail="Ingestion status = Ok"))
    yield Case("daily-cap", "another category", QUIET, cap(Category="Agent"))


CASES = [*error_cases(), *queue_cases(), *line_cases()]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.alert}: {case.name}" for case in CASES])
def test_an_alert_fires_when_it_must(case: Case) -> None:
    """On rows that the product's logger wrote, or in the shape that the platform writes them."""
    assert fires(case.alert, case.rows()) == case.fires


@pytest.mark.parametrize("alert", QUERIES)
def test_every_alert_has_rows_that_fire_it_and_rows_that_do_not(alert: str) -> None:
    """An alert without either is not tested."""
    assert {case.fires for case in CASES if case.alert == alert} == {True, False}


@pytest.mark.parametrize("alert", sorted(QUERIES.keys() - {"daily-cap"}))
def test_an_alert_does_not_fail_before_its_tables_exist(alert: str) -> None:
    """Azure switches a rule off that fails for a week. _LogOperation exists in every workspace."""
    assert fires(alert, {}) is False


@pytest.mark.parametrize("alert", QUERIES)
def test_an_alert_on_empty_tables_does_not_fire(alert: str) -> None:
    """A quiet week is not an incident."""
    assert fires(alert, dict.fromkeys(TABLES, ())) is False


@pytest.mark.parametrize(
    ("alert", "right", "wrong"),
    [
        ("server-errors", ">= 500) |", ">= 501) |"),
        ("server-errors", "toint(ResultCode) >= 500", "toint(ResultCode) > 500"),
        ("server-errors", "toint(ResultCode) >= 500", "toint(ResultCode) >= 400"),
        ("server-errors", "| distinct OperationId", ""),
        ("server-errors", " status=", " staus="),
        ("server-errors", '"request "', '"reqest "'),
        ("poison-messages", "PutMessage", "PutMesage"),
        ("poison-messages", "-poison", ""),
        ("dead-lettered-sessions", "session_dead_lettered ", "session_dead_lettered"),
        ("queue-backlog", "> 5000", ">= 5000"),
        ("queue-backlog", "> 5000", "> 6000"),
        ("queue-backlog", "waiting", "oldest_seconds"),
        ("oldest-due-session", "> 900", "> 1000"),
        ("oldest-due-session", '"due_sessions "', '"due"'),
        ("daily-cap", "OverQuota", "OverQouta"),
        ("daily-cap", '| where Category =~ "Ingestion" ', ""),
    ],
)
def test_a_wrong_query_is_found(alert: str, right: str, wrong: str) -> None:
    """Mistakes that a parser accepts change what some case does."""
    assert right in QUERIES[alert]
    query = QUERIES[alert].replace(right, wrong)
    tried = [case for case in CASES if case.alert == alert]
    assert not all(fires(alert, case.rows(), query) == case.fires for case in tried)


@pytest.mark.skipif(not can_parse(), reason="SKIPPED: without npm, no parser for the queries")
def test_the_parser_accepts_every_query() -> None:
    """Microsoft's own, against the columns of the real tables."""
    assert parse_queries(distinct_queries(SNAPSHOTS.values())) == []


@pytest.mark.skipif(not can_parse(), reason="SKIPPED: without npm, no parser for the queries")
def test_the_parser_finds_mistakes() -> None:
    """Each planted mistake is reported by its name."""
    planted = {
        name: next(query for query in QUERIES.values() if right in query).replace(right, wrong)
        for name, (right, wrong) in MISTAKES.items()
    }
    reported = {problem.partition(":")[0] for problem in parse_queries(planted)}
    assert planted.keys() - reported == set()


@pytest.mark.parametrize(
    ("event", "fields"),
    [("due_sessions", {"waiting", "oldest_seconds"}), ("session_dead_lettered", {"reason"})],
)
def test_the_product_logs_what_the_alerts_read(event: str, fields: set[str]) -> None:
    """The events and fields of the rows above are those that the code logs."""
    assert fields <= logged_fields(event)


def test_a_missing_parser_is_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Node.js the rest goes on, and says what was left out."""
    monkeypatch.setenv("PATH", "")
    assert main() == 0
    assert "SKIPPED" in capsys.readouterr().out
