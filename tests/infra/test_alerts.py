"""Somebody is told before users notice."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Send

from infra.check.run import bicep_files
from infra.check.values import (
    Known,
    Listing,
    Record,
    Scope,
    Unknown,
    at,
    evaluate,
    items_of,
    leaves,
    resource_body,
)
from shared.http.access_log import AccessLog
from shared.services.consolidation.schedule import MAX_WAITING
from shared.settings import Settings
from shared.telemetry import log_event
from tests.support.telemetry import capturing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OPERATIONS = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
ALERTS = next(file for file in bicep_files() if file.path.stem == "alerts")
RULES = evaluate(Scope(ALERTS), ALERTS.variables["queries"].named_children[-1])
QUERIES = {
    str(name.constant): str(query.constant) if isinstance(query, Known) else query.source
    for rule in (RULES.items if isinstance(RULES, Listing) else ())
    if isinstance(name := at(rule, "name"), Known)
    and isinstance(query := at(rule, "query"), Known | Unknown)
}


def test_all_that_can_go_wrong_unseen_is_watched() -> None:
    """Errors, parked work, a growing queue, late sessions, the end of all logs and a full cache each have an alert."""
    told = {
        "server-errors",
        "poison-messages",
        "parked-sessions",
        "queue-backlog",
        "oldest-due-session",
        "daily-cap",
    }
    assert set(QUERIES) == told
    memory = resource_body(ALERTS, ALERTS.resources["redisMemory"])
    criteria = at(memory, "properties.criteria.allOf")
    first = criteria.items[0] if isinstance(criteria, Listing) else Record({}, 0)
    assert [getattr(leaf, "constant", None) for leaf in leaves(at(first, "metricName"))] == [
        "usedmemorypercentage"
    ]
    assert [getattr(leaf, "source", "") for leaf in leaves(at(memory, "properties.scopes"))] == [
        "redisId"
    ]


def test_each_query_is_asked_as_it_is_meant() -> None:
    """A rule that is off, looks at another window or compares the other way round never tells anybody."""
    rule = resource_body(ALERTS, ALERTS.resources["queryAlerts"])
    listed = RULES.items if isinstance(RULES, Listing) else ()
    criteria = items_of(at(rule, "properties.criteria.allOf") or rule)[0]
    meant = {
        "query": at(criteria, "query"),
        "threshold": at(criteria, "threshold"),
        "window": at(rule, "properties.windowSize"),
    }
    assert {name: leaves(value) for name, value in meant.items()} == {
        name: [leaf for each in listed for leaf in leaves(at(each, name))] for name in meant
    }
    fixed = [
        at(criteria, "operator"),
        at(criteria, "timeAggregation"),
        at(rule, "properties.enabled"),
    ]
    assert [getattr(value, "constant", None) for value in fixed] == ["GreaterThan", "Count", True]


@pytest.mark.parametrize(
    ("symbol", "path"),
    [("queryAlerts", "properties.actions.actionGroups"), ("redisMemory", "properties.actions")],
)
def test_whoever_is_named_is_told(symbol: str, path: str) -> None:
    """Every alert goes to the group that has the address in ALERT_EMAIL."""
    body = resource_body(ALERTS, ALERTS.resources[symbol])
    told = items_of(at(body, path) or body)
    groups = [at(one, "actionGroupId") if isinstance(one, Record) else one for one in told]
    assert [getattr(group, "source", "") for group in groups] == ["operators.id"]
    receivers = at(
        resource_body(ALERTS, ALERTS.resources["operators"]), "properties.emailReceivers"
    )
    addresses = [at(one, "emailAddress") for one in items_of(receivers or body)]
    assert [getattr(address, "source", "") for address in addresses] == ["email"]


def test_it_is_said_when_the_cap_silences_every_other_alert() -> None:
    """The workspace notes it itself, where the cap does not reach; Microsoft documents this query for it."""
    assert (
        QUERIES["daily-cap"]
        == '_LogOperation | where Category =~ "Ingestion" | where Detail contains "OverQuota"'
    )
    [rule] = [
        rule for rule in items_of(RULES) if getattr(at(rule, "name"), "constant", "") == "daily-cap"
    ]
    assert [getattr(at(rule, name), "constant", None) for name in ("severity", "threshold")] == [
        2,
        0,
    ]


def test_a_failed_request_counts_once() -> None:
    """The host and the app each tell of a request, the app by a line also where it traces none; it is one operation."""
    query = QUERIES["server-errors"]
    assert re.match(
        r"union \(AppRequests \| where toint\(ResultCode\) >= 500\), \(AppTraces \| ", query
    )
    assert query.endswith(" >= 500) | distinct OperationId")


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 499, 500, 503])
async def test_a_failure_is_read_from_the_line_of_a_request_that_is_not_traced(status: int) -> None:
    """Sampling leaves out spans, never lines: each has its status where the alert looks, and its operation's id."""
    headers = [(b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-00".encode())]  # 00: not sampled
    scope = {"type": "http", "method": "GET", "headers": headers, "state": {}}
    with capturing() as captured:
        await AccessLog(answering(status), nothing)(scope, nothing, nothing)
    [line] = [line for line in captured.exported if str(line.body).startswith("request ")]
    begins = re.findall(r'startswith "(.*?)"', QUERIES["server-errors"])[0]
    pattern = re.findall(r'extract\("(.*?)", 1', QUERIES["server-errors"])[0]
    assert str(line.body).startswith(begins)
    assert re.findall(pattern, str(line.body)) == [str(status)]
    assert (captured.spans, f"{line.trace_id:032x}") == ((), TRACE)


@pytest.mark.parametrize(
    ("alert", "seen"), [("oldest-due-session", "1234.5"), ("queue-backlog", "6000")]
)
def test_what_is_due_is_read_from_the_line_that_is_logged(
    alert: str, seen: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The alerts take their numbers out of an event as shared/telemetry.py writes it."""
    with caplog.at_level(logging.INFO, "keepsake"):
        log_event("due_sessions", queued=3, waiting=6000, oldest_seconds=1234.5)
    assert f"> {MAX_WAITING}" in QUERIES["queue-backlog"]
    query = QUERIES[alert]
    begins = re.findall(r'startswith "(.*?)"', query)[0]
    pattern = re.findall(r'extract\("(.*?)", 1', query)[0]
    assert caplog.messages[0].startswith(begins)
    assert re.findall(pattern, caplog.messages[0]) == [seen]


def test_how_late_is_too_late_follows_the_schedule() -> None:
    """Three runs of the timer, unless it comes more seldom: a nightly one leaves sessions due for a whole day."""
    main = next(file for file in bicep_files() if file.path.stem == "main")
    assert QUERIES["oldest-due-session"].endswith(" > ${oldestDueSeconds}")
    given = at(resource_body(main, main.modules["alerts"]), "params.oldestDueSeconds")
    assert [getattr(leaf, "source", "") for leaf in leaves(given)] == ["oldestDueSeconds"]
    assert (main.parameters["oldestDueSeconds"].text or b"").endswith(b" = 900")
    assert Settings.model_fields["summarise_schedule"].default == "0 */5 * * * *"
    rows = re.findall(r"`0 0 2 \* \* \*`.*`azd env set OLDEST_DUE_SECONDS (\d+)`", OPERATIONS)
    assert [int(row) > 86_400 for row in rows] == [True]


def test_what_the_alert_on_poison_reads_is_sent_to_the_workspace() -> None:
    """Putting messages is logged, or poison would never be seen."""
    storage = next(file for file in bicep_files() if file.path.stem == "storage")
    logs = at(resource_body(storage, storage.resources["queueLogs"]), "properties.logs")
    entries = logs.items if isinstance(logs, Listing) else ()
    categories = [getattr(at(entry, "category"), "constant", None) for entry in entries]
    assert categories == ["StorageWrite"]


def answering(status: int) -> ASGIApp:
    """An application that answers everything with this status."""

    async def answer(_scope: object, _receive: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    return answer


async def nothing(*_: object) -> Any:
    """Wait for no exporter, receive and send nothing."""
    return {}
