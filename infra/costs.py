"""`python -m infra.costs`: what a month costs, in US dollars, as docs/deploy.md prints it.

List prices of a region in the United States; put your own in. What a turn takes is an estimate until you measure it:
every answer of POST /chat says its request units and tokens under `usage`.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

DAYS, HOURS = 30, 730
TURNS_A_DAY = 10  # of one user
KEPT_DAYS = 90  # RETENTION_DAYS

UNITS_A_TURN = (
    150  # request units: two point reads, four queries, one batch; a tenth of a consolidation
)
KILOBYTES_A_TURN = (
    8  # two short texts, one vector of 512 numbers, their index; up to 24 with tools and memories
)
PROMPT_TOKENS, REPLY_TOKENS, EMBEDDED_TOKENS = 1_800, 250, 300
SECONDS_A_TURN = 3  # nearly all of it waiting for the model
LOG_KILOBYTES_A_TURN = 4  # our line is 1.3; what the host adds was not measured
TRACE_KILOBYTES, TRACES_A_SECOND = (
    12,
    1,
)  # the spans of a recalling turn; TRACES_PER_SECOND of each instance
BUSIEST_HOUR = 0.12  # of a day's turns

COSMOS_MILLION_UNITS, COSMOS_GB = 0.25, 0.25
COSMOS_AUTOSCALE_HOUR = 0.012  # per 100 request units a second, of the most that an hour saw
GB_SECOND, MILLION_EXECUTIONS, FREE_GB_SECONDS = 0.000026, 0.40, 100_000
MILLION_PROMPT, MILLION_REPLY, MILLION_EMBEDDED = 0.75, 4.50, 0.02
LOG_GB, FREE_LOG_GB = 2.30, 5
REDIS_SMALL, REDIS_LARGER = 23, 46  # Balanced_B0 and B1, with high availability
ALERTS = 6 * 0.50 + 0.10


@dataclass(frozen=True, slots=True)
class Load:
    """How many users a day, and how many of their turns share an instance's second."""

    users: int
    sharing: int

    @property
    def turns(self) -> int:
        """A month's turns."""
        return self.users * TURNS_A_DAY * DAYS

    @property
    def kept_gigabytes(self) -> float:
        """What is stored when turns begin to expire as fast as they come."""
        return self.users * TURNS_A_DAY * KEPT_DAYS * KILOBYTES_A_TURN / 1e6

    @property
    def busiest_units(self) -> float:
        """Request units a second in the busiest hour."""
        return self.users * TURNS_A_DAY * BUSIEST_HOUR / 3600 * UNITS_A_TURN


LOADS = (Load(0, 1), Load(1_000, 1), Load(100_000, 8))
LARGE = 50_000  # users a day from which on autoscale and a larger Redis are reckoned with


def serverless(load: Load) -> float:
    """Cosmos DB by the request unit."""
    return load.turns * UNITS_A_TURN / 1e6 * COSMOS_MILLION_UNITS + load.kept_gigabytes * COSMOS_GB


def autoscale(load: Load) -> float:
    """Cosmos DB by the hour: half the busiest hour on average, and two more containers at a tenth of it."""
    units = load.busiest_units * (0.5 + 2 * 0.1)
    return units / 100 * COSMOS_AUTOSCALE_HOUR * HOURS + load.kept_gigabytes * COSMOS_GB


def cosmos(load: Load) -> float:
    """Whichever a deployment of this size would take."""
    return autoscale(load) if load.users >= LARGE else serverless(load)


def functions(load: Load) -> float:
    """Flex Consumption, 2 GB instances, none always ready."""
    gb_seconds = load.turns * SECONDS_A_TURN * 2 / load.sharing
    return max(0, gb_seconds - FREE_GB_SECONDS) * GB_SECOND + load.turns / 1e6 * MILLION_EXECUTIONS


def redis(load: Load) -> float:
    """Azure Managed Redis; nothing with REDIS_MODE=none."""
    return REDIS_LARGER if load.users >= LARGE else REDIS_SMALL


def model(load: Load) -> float:
    """Chat, with a tenth more for consolidation."""
    one = PROMPT_TOKENS * MILLION_PROMPT + REPLY_TOKENS * MILLION_REPLY
    return load.turns * 1.1 * one / 1e6


def embeddings(load: Load) -> float:
    """One call a turn."""
    return load.turns * EMBEDDED_TOKENS * MILLION_EMBEDDED / 1e6


def logs(load: Load) -> float:
    """Log Analytics past its free gigabytes, and the alert rules; an instance traces what it may while it works."""
    traced = min(load.turns, load.turns * SECONDS_A_TURN / load.sharing * TRACES_A_SECOND)
    gigabytes = (load.turns * LOG_KILOBYTES_A_TURN + traced * TRACE_KILOBYTES) / 1e6
    return max(0, gigabytes - FREE_LOG_GB) * LOG_GB + ALERTS


ROWS: dict[str, Callable[[Load], float]] = {
    "Cosmos DB": cosmos,
    "Azure Managed Redis": redis,
    "Functions, Flex Consumption": functions,
    "logs and alerts": logs,
    "embeddings": embeddings,
    "chat model": model,
}


def table() -> str:
    """The table of docs/deploy.md."""
    heads = ["idle" if load.users == 0 else f"{load.users:,} users a day" for load in LOADS]
    lines = [f"| US dollars a month | {' | '.join(heads)} |", "| --- | " + "---: | " * len(LOADS)]
    lines += [_row(name, price) for name, price in ROWS.items()]
    lines.append(_row("**all of it**", lambda load: sum(price(load) for price in ROWS.values())))
    lines.append(
        _row("without the models", lambda load: sum(ROWS[name](load) for name in list(ROWS)[:4]))
    )
    return "\n".join(line.rstrip() for line in lines)


def _row(name: str, price: Callable[[Load], float]) -> str:
    return f"| {name} | {' | '.join(f'{price(load):,.0f}' for load in LOADS)} |"


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
