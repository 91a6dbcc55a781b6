"""Usage totals of a user, from the `memory` container."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, CosmosContainers
from shared.adapters.cosmos.times import write_time
from shared.domain.ids import UserId
from shared.ports.users import UsageTotals


@dataclass(frozen=True, slots=True)
class CosmosUsage:
    """Aggregates with one query within the user's partition."""

    containers: CosmosContainers

    async def sum_usage(self, user: UserId, epoch: int, since: datetime) -> UsageTotals:
        """Sum up what was stored since then; documents without usage fields count as 0.

        A large partition returns partial sums, one per page.
        """
        parameters = sql.to_parameters(
            {"@user_id": user.value, "@epoch": epoch, "@since": write_time(since)}
        )
        sums: defaultdict[str, float] = defaultdict(float)
        async with self.containers.call(MEMORY) as container:
            async for part in container.query_items(
                sql.on_one_line(sql.SUM_USAGE), parameters=parameters, partition_key=user.value
            ):
                for name, value in part.items():
                    sums[name] += value
        return UsageTotals(
            sessions=int(sums["sessions"]),
            turns=int(sums["turns"]),
            session_data=int(sums["session_data"]),
            bytes=int(sums["bytes"]),
            prompt_tokens=int(sums["prompt_tokens"]),
            completion_tokens=int(sums["completion_tokens"]),
            embedding_tokens=int(sums["embedding_tokens"]),
            request_units=sums["request_units"],
        )
