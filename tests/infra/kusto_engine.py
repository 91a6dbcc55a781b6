"""Runs queries over rows, as a log alert rule does: in its window, with Kusto's types (ADR 21)."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

import duckdb_kql

from infra.kusto import TABLES, queries_in
from tests.infra.alert_rows import Rows
from tests.infra.planting import SNAPSHOTS

QUERIES = queries_in(SNAPSHOTS["default"])
RULES = {
    rule.at("properties.displayName"): rule.at("properties")
    for rule in SNAPSHOTS["default"].of("Microsoft.Insights/scheduledQueryRules")
}
NOW = dt.datetime(2026, 11, 30, 12)  # noqa: DTZ001 - DuckDB's timestamps have no zone
MINUTES = {"PT15M": 15, "PT30M": 30}
TYPES = {
    "bool": "BOOLEAN",
    "datetime": "TIMESTAMP",
    "dynamic": "JSON",
    "int": "INTEGER",
    "long": "BIGINT",
    "real": "DOUBLE",
    "string": "VARCHAR",
}


def minutes_ago(minutes: float) -> dt.datetime:
    """A time before the rule is evaluated."""
    return NOW - dt.timedelta(minutes=minutes)


def fires(alert: str, rows: Rows, query: str | None = None) -> bool:
    """Whether a rule fires when only these rows exist, evaluated as its snapshot says."""
    rule = RULES[alert]
    [criterion] = rule["criteria"]["allOf"]
    assert (criterion["timeAggregation"], criterion["operator"]) == ("Count", "GreaterThan")
    window = dt.timedelta(minutes=MINUTES[rule["windowSize"]])
    found = run(query or criterion["query"], rows, window)
    return len(found) > int(criterion["threshold"])


def run(query: str, rows: Rows, window: dt.timedelta) -> list[Any]:
    """The rows that a query returns."""
    database = duckdb_kql.connect(config={"threads": 1})
    for table, given in rows.items():
        columns = {name: TYPES[kind] for name, kind in TABLES[table].items()}
        named = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        database.execute(f'CREATE TABLE "{table}" ({named})')
        for row in given:
            values = {"TimeGenerated": NOW, **row}
            if NOW - window < values["TimeGenerated"] <= NOW:  # what Azure does before the query
                places = ", ".join("?" * len(columns))
                ordered = [value_of(values, name) for name in columns]
                database.execute(f'INSERT INTO "{table}" VALUES ({places})', ordered)  # noqa: S608
    return list(duckdb_kql.kql(database, query, query_now=NOW).fetchall())


def value_of(row: Mapping[str, Any], column: str) -> Any:
    """A value as Kusto has it: text is never null."""
    absent = {"VARCHAR": "", "JSON": json.dumps({})}
    kinds = {name: TYPES[kind] for columns in TABLES.values() for name, kind in columns.items()}
    return row.get(column, absent.get(kinds[column]))
