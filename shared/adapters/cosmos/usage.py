"""What is stored for a user, from the `memory` container."""

from collections import Counter
from dataclasses import dataclass

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, CosmosContainers
from shared.domain.ids import UserId
from shared.ports.users import StoredTotals


@dataclass(frozen=True, slots=True)
class CosmosUsage:
    """Aggregates with one query within the user's partition."""

    containers: CosmosContainers

    async def sum_stored(self, user: UserId, epoch: int) -> StoredTotals:
        """Sum up what is stored; documents without a size count as 0 bytes.

        A large partition returns partial sums, one per page.
        """
        parameters = sql.to_parameters({"@user_id": user.value, "@epoch": epoch})
        sums: Counter[str] = Counter()
        async with self.containers.call(MEMORY) as container:
            async for part in container.query_items(
                sql.on_one_line(sql.SUM_STORED), parameters=parameters, partition_key=user.value
            ):
                sums.update({name: int(value) for name, value in part.items()})
        return StoredTotals(
            sessions=sums["sessions"],
            turns=sums["turns"],
            session_data=sums["session_data"],
            bytes=sums["bytes"],
        )
