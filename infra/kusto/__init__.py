"""The alert rules' queries, and Microsoft's parser for them."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from infra.bicep.snapshot import Snapshot

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parents[1] / ".venv" / "kusto"  # `make .venv/.kusto`
TABLES: Mapping[str, Mapping[str, str]] = json.loads((HERE / "tables.json").read_text())


def queries_in(snapshot: Snapshot) -> dict[str, str]:
    """The query of each log alert rule, by the rule's name."""
    rules = snapshot.of("Microsoft.Insights/scheduledQueryRules")
    return {
        rule.at("properties.displayName"): rule.at("properties.criteria.allOf")[0]["query"]
        for rule in rules
    }


def distinct_queries(snapshots: Iterable[Snapshot]) -> dict[str, str]:
    """Each different query once, by variant and rule."""
    named = {
        query: f"{snapshot.name}: {name}"
        for snapshot in snapshots
        for name, query in queries_in(snapshot).items()
    }
    return {name: query for query, name in named.items()}


def can_parse() -> bool:
    """Whether Node.js and the parser are installed."""
    return bool(shutil.which("node")) and (INSTALLED / "node_modules").is_dir()


def parse_queries(queries: Mapping[str, str]) -> list[str]:
    """What the parser reports, one problem per line; nothing if it accepts every query.

    Raises:
        CalledProcessError: the parser itself failed.
    """
    named = [{"name": name, "query": query} for name, query in queries.items()]
    done = subprocess.run(  # noqa: S603 - the program is ours
        ["node", str(HERE / "check.cjs")],  # noqa: S607 - wherever PATH says
        input=json.dumps(named),
        cwd=INSTALLED,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and not done.stdout:
        raise subprocess.CalledProcessError(done.returncode, done.args, stderr=done.stderr)
    return done.stdout.splitlines()
