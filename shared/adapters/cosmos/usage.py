"""What is stored for a user in the `memory` container, summed up by the database."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, CosmosContainers
from shared.adapters.cosmos.items import write_time
from shared.domain.ids import UserId
from shared.ports.users import UsageTotals


@dataclass(frozen=True, slots=True)
class CosmosUsage:
    """One query that aggregates within the user's partition."""

    containers: CosmosContainers

    async def sum_usage(self, user: UserId, epoch: int, since: datetime) -> UsageTotals:
        """Sum up; a large partition answers in parts, one a page. Old documents count as 0."""
        parameters = sql.named(
            {"@user_id": user.value, "@epoch": epoch, "@since": write_time(since)}
        )
        sums: defaultdict[str, float] = defaultdict(float)
        async with self.containers.call(MEMORY) as container:
            async for part in container.query_items(
                sql.squeeze(sql.SUM_USAGE), parameters=parameters, partition_key=user.value
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
