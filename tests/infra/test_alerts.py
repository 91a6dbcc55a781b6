"""Operators are notified before users notice."""

import re

import pytest

from tests.infra.kusto_engine import MINUTES, QUERIES
from tests.infra.planting import ROOT, SNAPSHOTS


def test_everything_that_can_fail_unseen_has_an_alert() -> None:
    """Errors, stuck work, a growing queue, late sessions, the end of all logs, and a full cache."""
    assert QUERIES.keys() == {
        "server-errors",
        "poison-messages",
        "dead-lettered-sessions",
        "queue-backlog",
        "oldest-due-session",
        "daily-cap",
    }
    [memory] = SNAPSHOTS["default"].of("Microsoft.Insights/metricAlerts")
    [redis] = SNAPSHOTS["default"].of("Microsoft.Cache/redisEnterprise")
    [criterion] = memory.at("properties.criteria.allOf")
    assert criterion["metricName"] == "usedmemorypercentage"
    assert memory.at("properties.scopes") == [redis.id]


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_alerts_notify_the_chosen_address(name: str) -> None:
    """Every alert uses the action group, which has the address if one was given."""
    snapshot = SNAPSHOTS[name]
    [group] = snapshot.of("Microsoft.Insights/actionGroups")
    rules = snapshot.of("Microsoft.Insights/scheduledQueryRules")
    notified = [rule.at("properties.actions.actionGroups") for rule in rules]
    metrics = [
        each.at("properties.actions") for each in snapshot.of("Microsoft.Insights/metricAlerts")
    ]
    assert notified == [[group.id]] * len(QUERIES)
    assert metrics == [[{"actionGroupId": group.id}]] * len(metrics)
    receivers = [each["emailAddress"] for each in group.at("properties.emailReceivers")]
    assert receivers == ([] if name in {"minimal", "development"} else ["operators@example.com"])


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_every_rule_is_evaluated_without_a_gap(name: str) -> None:
    """It is on, and its window is at least as long as the time between two evaluations."""
    for rule in SNAPSHOTS[name].of("Microsoft.Insights/scheduledQueryRules"):
        assert rule.at("properties.enabled") is True
        frequency = MINUTES[rule.at("properties.evaluationFrequency")]
        assert MINUTES[rule.at("properties.windowSize")] >= frequency


def test_a_session_is_late_after_three_runs_of_the_timer() -> None:
    """With a nightly schedule, docs/operations.md says to allow more than a day."""
    assert QUERIES["oldest-due-session"].endswith(" > 900")
    operations = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"`0 0 2 \* \* \*`.*`azd env set OLDEST_DUE_SECONDS (\d+)`", operations)
    assert [int(row) > 86_400 for row in rows] == [True]
