"""The consolidation state on session headers in the `memory` container."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemMissing
from shared.adapters.cosmos.items import header_id, set_fields
from shared.adapters.cosmos.spending import CosmosSpending
from shared.adapters.cosmos.times import read_time, remaining_ttl, write_time
from shared.domain.errors import Contended
from shared.domain.ids import SessionId, UserId
from shared.domain.sessions import Header
from shared.domain.summaries import Summary
from shared.ports.consolidation import DeadLetteredSession, DueSession, Failure
from shared.ports.jobs import ConsolidationJob
from shared.ports.system import Clock

PAGE_SIZE = 1000  # sessions per page; a page is queued before the next one is read


@dataclass(frozen=True, slots=True)
class CosmosConsolidation:
    """Writes on the condition of the header's ETag: a concurrent write wins."""

    containers: CosmosContainers
    spending: CosmosSpending
    clock: Clock

    async def find_due(self, now: datetime) -> AsyncIterator[Sequence[DueSession]]:
        """Due sessions of all users in pages of 1,000, in no order."""
        async for page in self._scan(sql.FIND_DUE_SESSIONS_ACROSS_USERS, {"@now": write_time(now)}):
            yield [DueSession(_job_of(item), read_time(item["due_at"])) for item in page]

    async def find_dead_lettered(self) -> AsyncIterator[Sequence[DeadLetteredSession]]:
        """Dead-lettered sessions of all users in pages of 1,000, in no order."""
        async for page in self._scan(sql.FIND_DEAD_LETTERED_SESSIONS_ACROSS_USERS, {}):
            yield [DeadLetteredSession(_job_of(item), item["dead_lettered"]) for item in page]

    async def save_summary(
        self, user: UserId, header: Header, summary: Summary | None, upto: int
    ) -> bool:
        """Set the summary and `consolidated_seq`, and reset the attempts.

        `due_at` is cleared if `upto` is the last turn. Idempotent: a repeat finds another ETag.
        """
        fields: dict[str, Any] = {
            "consolidated_seq": upto,
            "summary": summary.model_dump(mode="json") if summary else None,
            "attempts": 0,
            "dead_lettered": None,
        }
        if upto >= header.turn_count:
            fields["due_at"] = None
        return await self._patch(user, header, fields)

    async def postpone(self, user: UserId, header: Header, failure: Failure | None) -> bool:
        """Set when the session is due again, or mark it as dead-lettered.

        Idempotent: a repeat finds another ETag.
        """
        if failure is None:
            return await self._patch(user, header, _retry_fields(self.clock.now(), 0, None))
        dead_lettered = None if failure.due_at else failure.reason
        return await self._patch(
            user, header, _retry_fields(failure.due_at, failure.attempts, dead_lettered)
        )

    async def await_vectors(
        self, user: UserId, header: Header, from_seq: int, due_at: datetime
    ) -> bool:
        """Set `vectors_from` and `due_at`. Idempotent: a repeat finds another ETag."""
        return await self._patch(
            user, header, {"vectors_from": from_seq, "due_at": write_time(due_at)}
        )

    async def clear_due(self, user: UserId, header: Header) -> bool:
        """Clear `vectors_from` and `due_at`. Idempotent: a repeat finds another ETag."""
        return await self._patch(user, header, {"vectors_from": None, "due_at": None})

    async def _patch(self, user: UserId, header: Header, fields: Mapping[str, Any]) -> bool:
        patch = set_fields({**fields, **remaining_ttl(header, self.clock.now())})
        unchanged = {"if_match_etag": header.etag}
        batch: Batch = [("patch", (header_id(header.session_id), patch), unchanged)]
        try:
            await self.spending.write_batch(user, batch)
        except (ItemChanged, ItemMissing, Contended):
            return False
        return True

    async def _scan(
        self, text: str, parameters: Mapping[str, Any]
    ) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(text),
                parameters=sql.to_parameters(parameters),
                max_item_count=PAGE_SIZE,
            ).by_page()
        while True:
            async with self.containers.call(MEMORY):  # each page has its own timeout
                page = await anext(found, None)
                if page is None:
                    return
                items = [item async for item in page]
            yield items


def _retry_fields(
    due_at: datetime | None, attempts: int, dead_lettered: str | None
) -> dict[str, Any]:
    return {
        "due_at": due_at and write_time(due_at),
        "attempts": attempts,
        "dead_lettered": dead_lettered,
    }


def _job_of(item: Mapping[str, str]) -> ConsolidationJob:
    return ConsolidationJob(UserId(item["user_id"]), SessionId(item["session_id"]))
