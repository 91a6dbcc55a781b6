"""`python -m infra.costs`: what a month costs, in US dollars, priced by what the snapshots deploy.

List prices of a region in the United States; put your own in. What a turn takes is an estimate
until you measure it: every answer of POST /chat states its request units and tokens under `usage`.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.bicep import FOLDER
from infra.bicep.snapshot import Snapshot

DAYS, HOURS = 30, 730
TURNS_A_DAY = 10  # of one user
KEPT_DAYS = 90  # RETENTION_DAYS

UNITS_A_TURN = (
    150  # request units: two point reads, four queries, a batch, a tenth of a consolidation
)
KILOBYTES_A_TURN = 8  # two short texts, a vector of 512 numbers, their index; up to 24 with tools
PROMPT_TOKENS, REPLY_TOKENS, EMBEDDED_TOKENS = 1_800, 250, 300
SECONDS_A_TURN = 3  # nearly all of it waiting for the model
LOG_KILOBYTES_A_TURN = 4  # our line is 1.3; what the host adds was not measured
TRACE_KILOBYTES, TRACES_A_SECOND = 12, 1  # spans of a recalling turn; TRACES_PER_SECOND
BUSIEST_HOUR = 0.12  # of a day's turns

COSMOS_MILLION_UNITS, COSMOS_GB = 0.25, 0.25
COSMOS_AUTOSCALE_HOUR = 0.012  # per 100 request units a second, of the most that an hour saw
GB_SECOND, MILLION_EXECUTIONS, FREE_GB_SECONDS = 0.000026, 0.40, 100_000
ALWAYS_READY_GB = 10.5  # a month
LOG_GB, FREE_LOG_GB = 2.30, 5
LOG_ALERT, METRIC_ALERT = 0.50, 0.10
ENDPOINT, DNS_ZONE = 7.30, 0.50
REDIS = {"Balanced_B0": 23.0, "Balanced_B1": 46.0}  # with high availability
SEARCH = {"basic": 74.0}  # a replica
CHAT = {"gpt-5.4-mini": (0.75, 4.50)}  # a million tokens, of prompts and of replies
EMBEDDING = {"text-embedding-3-small": 0.02}
FREE = {
    "FC1",
    "F0",
    "S0",
    "PerGB2018",
    "standard",
    "Standard_LRS",
    "Standard_ZRS",
    "GlobalStandard",
}


class NoPrice(LookupError):
    """A deployed SKU or model has no price here; the message names it."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many users a day, how many of their turns share an instance, and what is deployed."""

    users: int
    sharing: int
    variant: str

    @property
    def turns(self) -> int:
        """A month's turns."""
        return self.users * TURNS_A_DAY * DAYS

    @property
    def kept_gigabytes(self) -> float:
        """What is stored once turns expire as fast as they arrive."""
        return self.users * TURNS_A_DAY * KEPT_DAYS * KILOBYTES_A_TURN / 1e6

    @property
    def busiest_units(self) -> float:
        """Request units a second in the busiest hour."""
        return self.users * TURNS_A_DAY * BUSIEST_HOUR / 3600 * UNITS_A_TURN


LOADS = (Load(0, 1, "default"), Load(1_000, 1, "default"), Load(100_000, 8, "production"))
Price = Callable[[Snapshot, Load], float]


def cosmos(snapshot: Snapshot, load: Load) -> float:
    """By the request unit; with autoscale by the hour, at least a tenth of each maximum."""
    containers = snapshot.of("Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers")
    kept = load.kept_gigabytes * COSMOS_GB
    maxima = [each.at("properties.options.autoscaleSettings.maxThroughput") for each in containers]
    if None in maxima:
        return load.turns * UNITS_A_TURN / 1e6 * COSMOS_MILLION_UNITS + kept
    floors = [maximum / 10 for maximum in maxima]
    units = max(load.busiest_units / 2, floors[0]) + sum(
        floors[1:]
    )  # half the busiest hour on average
    return float(units / 100 * COSMOS_AUTOSCALE_HOUR * HOURS + kept)


def functions(snapshot: Snapshot, load: Load) -> float:
    """Flex Consumption, on demand."""
    gb_seconds = load.turns * SECONDS_A_TURN * _gigabytes(snapshot) / load.sharing
    return max(0, gb_seconds - FREE_GB_SECONDS) * GB_SECOND + load.turns / 1e6 * MILLION_EXECUTIONS


def chat(snapshot: Snapshot, load: Load) -> float:
    """Chat, with a tenth more for consolidation."""
    prompt, reply = _priced(CHAT, _models(snapshot)[0])
    return float(load.turns * 1.1 * (PROMPT_TOKENS * prompt + REPLY_TOKENS * reply) / 1e6)


def embeddings(snapshot: Snapshot, load: Load) -> float:
    """One call a turn."""
    price = _priced(EMBEDDING, _models(snapshot)[1])
    return float(load.turns * EMBEDDED_TOKENS * price / 1e6)


def logs(snapshot: Snapshot, load: Load) -> float:
    """Log Analytics past its free gigabytes; an instance traces what it may while it works."""
    del snapshot
    traced = min(load.turns, load.turns * SECONDS_A_TURN / load.sharing * TRACES_A_SECOND)
    gigabytes = (load.turns * LOG_KILOBYTES_A_TURN + traced * TRACE_KILOBYTES) / 1e6
    return max(0, gigabytes - FREE_LOG_GB) * LOG_GB


def redis(snapshot: Snapshot) -> float:
    """Azure Managed Redis; half without high availability."""
    return float(
        sum(
            _priced(REDIS, each.at("sku.name"))
            * (1 if each.at("properties.highAvailability") == "Enabled" else 0.5)
            for each in snapshot.of("Microsoft.Cache/redisEnterprise")
        )
    )


def search(snapshot: Snapshot) -> float:
    """AI Search, by the replica."""
    return float(
        sum(
            _priced(SEARCH, each.at("sku.name")) * each.at("properties.replicaCount")
            for each in snapshot.of("Microsoft.Search/searchServices")
        )
    )


def always_ready(snapshot: Snapshot) -> float:
    """Instances that are always running."""
    [site] = snapshot.of("Microsoft.Web/sites")
    ready = site.at("properties.functionAppConfig.scaleAndConcurrency.alwaysReady")
    count = sum(int(each["instanceCount"]) for each in ready)
    return count * _gigabytes(snapshot) * ALWAYS_READY_GB


def network(snapshot: Snapshot) -> float:
    """Private endpoints and their DNS zones."""
    endpoints = len(snapshot.of("Microsoft.Network/privateEndpoints"))
    return endpoints * ENDPOINT + len(snapshot.of("Microsoft.Network/privateDnsZones")) * DNS_ZONE


def alerts(snapshot: Snapshot) -> float:
    """Alert rules."""
    log_rules = len(snapshot.of("Microsoft.Insights/scheduledQueryRules"))
    return (
        log_rules * LOG_ALERT + len(snapshot.of("Microsoft.Insights/metricAlerts")) * METRIC_ALERT
    )


FIXED: Mapping[str, Callable[[Snapshot], float]] = {
    "Azure Managed Redis": redis,
    "always-ready instances": always_ready,
    "AI Search": search,
    "private network": network,
    "alert rules": alerts,
}
USED: Mapping[str, Price] = {
    "Cosmos DB": cosmos,
    "Functions, on demand": functions,
    "logs": logs,
    "embeddings": embeddings,
    "chat model": chat,
}
MODELS = ("embeddings", "chat model")


def fixed_table(snapshots: Mapping[str, Snapshot]) -> str:
    """What each variant costs before anybody uses it."""
    heads = [f"| US dollars a month | {' | '.join(snapshots)} |", _rule(len(snapshots))]
    rows = {name: [price(each) for each in snapshots.values()] for name, price in FIXED.items()}
    return _table(heads, rows, {"**all of it**": tuple(rows)})


def load_table(snapshots: Mapping[str, Snapshot]) -> str:
    """What a month costs at three loads, fixed costs included."""
    heads = ["idle" if load.users == 0 else f"{load.users:,} users a day" for load in LOADS]
    deployed = [(snapshots[load.variant], load) for load in LOADS]
    fixed = [sum(price(snapshot) for price in FIXED.values()) for snapshot, _ in deployed]
    rows = {"fixed, as below": fixed} | {
        name: [price(snapshot, load) for snapshot, load in deployed] for name, price in USED.items()
    }
    totals = {"**all of it**": tuple(rows), "without the models": tuple({*rows} - {*MODELS})}
    return _table(
        [f"| US dollars a month | {' | '.join(heads)} |", _rule(len(LOADS))], rows, totals
    )


def check_prices(snapshot: Snapshot) -> None:
    """Insist that everything deployed has a price.

    Raises:
        NoPrice: a SKU has none.
    """
    for resource in snapshot.resources:
        sku = resource.at("sku.name") or resource.at("properties.sku.name")
        if sku is not None and sku not in FREE | REDIS.keys() | SEARCH.keys():
            raise NoPrice(f"{resource.type} {sku}: add its price to infra/costs.py")
    for name in FIXED:
        FIXED[name](snapshot)
    for model in _models(snapshot):
        _priced({**CHAT, **EMBEDDING}, model)


def _priced(prices: Mapping[str, Any], name: str) -> Any:
    if name not in prices:
        raise NoPrice(f"{name}: add its price to infra/costs.py")
    return prices[name]


def _gigabytes(snapshot: Snapshot) -> float:
    [site] = snapshot.of("Microsoft.Web/sites")
    size = site.at("properties.functionAppConfig.scaleAndConcurrency.instanceMemoryMB")
    return float(size) / 1024


def _models(snapshot: Snapshot) -> list[str]:
    deployments = snapshot.of("Microsoft.CognitiveServices/accounts/deployments")
    return [str(each.at("properties.model.name")) for each in deployments]


def _rule(columns: int) -> str:
    return f"| --- |{' ---: |' * columns}"


def _table(
    heads: list[str], rows: Mapping[str, list[float]], totals: Mapping[str, tuple[str, ...]]
) -> str:
    summed = {
        name: [sum(prices) for prices in zip(*(rows[part] for part in parts), strict=True)]
        for name, parts in totals.items()
    }
    lines = [
        f"| {name} | {' | '.join(f'{price:,.0f}' for price in prices)} |"
        for name, prices in {**rows, **summed}.items()
    ]
    return "\n".join([*heads, *lines])


def tables() -> str:
    """Both tables, as docs/deploy.md has them."""
    snapshots = {snapshot.name: snapshot for snapshot in FOLDER.load_snapshots()}
    return f"{load_table(snapshots)}\n\nThe fixed part of each variant:\n\n{fixed_table(snapshots)}"


if __name__ == "__main__":
    sys.stdout.write(f"{tables()}\n")
