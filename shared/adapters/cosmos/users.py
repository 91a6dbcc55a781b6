"""The user's own document: `{id: "user", epoch, writes}`. It never expires."""

from dataclasses import dataclass
from typing import Any

from shared.adapters.cosmos.containers import MEMORY, CosmosContainers
from shared.adapters.cosmos.errors import ItemExists, ItemMissing
from shared.domain.ids import UserId

USER_ID = "user"


@dataclass(frozen=True, slots=True)
class CosmosUsers:
    """Reads and creates the user's document."""

    containers: CosmosContainers

    async def read_epoch(self, user: UserId) -> int:
        """The user's epoch; 0 if the user has no document yet."""
        return await self._read(user) or 0

    async def ensure_epoch(self, user: UserId) -> int:
        """The user's epoch; creates the document if there is none.

        Idempotent: the id refuses a second create.
        """
        epoch = await self._read(user)
        if epoch is not None:
            return epoch
        return 0 if await self.create(user) else await self.read_epoch(user)

    async def create(self, user: UserId) -> bool:
        """Create the user's document; False if there is one. Idempotent: so it stays."""
        item = {"id": USER_ID, "user_id": user.value, "kind": "user", "epoch": 0, "writes": 0}
        try:
            async with self.containers.call(MEMORY) as container:
                await container.create_item(item)
        except ItemExists:
            return False
        return True

    async def _read(self, user: UserId) -> int | None:
        try:
            async with self.containers.call(MEMORY) as container:
                item: dict[str, Any] = await container.read_item(USER_ID, user.value)
        except ItemMissing:
            return None
        return int(item["epoch"])
