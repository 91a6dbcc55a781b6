"""What is kept of a user in the `memory` container, added up where it lies."""

from collections import defaultdict
from datetime import datetime

from shared.adapters import cosmos_queries as sql
from shared.adapters.cosmos_client import CosmosContainers
from shared.adapters.cosmos_items import write_time
from shared.adapters.cosmos_users import MEMORY
from shared.domain.ids import UserId
from shared.ports.usage import Used


class CosmosUsage:
    """One query that aggregates within the user's partition."""

    def __init__(self, containers: CosmosContainers) -> None:
        """Take the worker's containers."""
        self._containers = containers

    async def add_up(self, user: UserId, epoch: int, since: datetime) -> Used:
        """The sums; of a large partition they come in parts, a page each, which add up. Old documents count as 0."""
        parameters = sql.named(
            {"@user_id": user.value, "@epoch": epoch, "@since": write_time(since)}
        )
        sums: defaultdict[str, float] = defaultdict(float)
        async with self._containers.call(MEMORY) as container:
            async for part in container.query_items(
                sql.squeeze(sql.ADD_UP), parameters=parameters, partition_key=user.value
            ):
                for name, value in part.items():
                    sums[name] += value
        return Used(
            sessions=int(sums["sessions"]),
            turns=int(sums["turns"]),
            values=int(sums["data_values"]),
            bytes=int(sums["bytes"]),
            prompt_tokens=int(sums["prompt_tokens"]),
            completion_tokens=int(sums["completion_tokens"]),
            embedding_tokens=int(sums["embedding_tokens"]),
            request_units=sums["request_units"],
        )
