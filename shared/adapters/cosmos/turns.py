"""Turns in the `memory` container."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.adapters.cosmos import queries as sql
from shared.adapters.cosmos.containers import MEMORY, Batch, CosmosContainers
from shared.adapters.cosmos.errors import ItemChanged, ItemExists, ItemMissing
from shared.adapters.cosmos.items import (
    header_id,
    set_fields,
    turn_item,
    turn_item_id,
    turn_of,
    with_size,
)
from shared.adapters.cosmos.spending import CosmosSpending
from shared.adapters.cosmos.times import ttl_until, write_time
from shared.domain.errors import Busy, Contended, StoreUnavailable
from shared.domain.history import MAX_WINDOW_BYTES, MAX_WINDOW_TURNS
from shared.domain.ids import Gen, SessionId, TurnId, UserId
from shared.domain.sessions import Header
from shared.domain.turns import Turn
from shared.ports.turns import (
    AlreadyThere,
    CommitOutcome,
    Committed,
    Draft,
    HeaderMoved,
    OutcomeUnknown,
    Throttled,
)

MAX_SEQ = 2**53  # the largest whole number that JSON readers agree on
MAX_PAGE_BYTES = 1_048_576  # of turns in one response; the next page has the rest


@dataclass(frozen=True, slots=True)
class CosmosTurns:
    """Commits each turn and its header in one batch; reads stay within the user's partition."""

    containers: CosmosContainers
    spending: CosmosSpending

    async def commit_turn(self, user: UserId, draft: Draft) -> CommitOutcome:
        """Create the turn and advance the header, if generation and turn count are unchanged.

        Idempotent: the create comes first in the batch, and its id refuses a second one.
        """
        turn = draft.turn
        item = with_size(turn_item(user, turn, draft.vector))
        header = {
            "turn_count": turn.seq,
            "committed_at": item["created_at"],
            "last_active_at": write_time(draft.last_active_at),
            "due_at": write_time(draft.due_at) if draft.due_at else None,
            "loop_turn": draft.loop_turn.value if draft.loop_turn else None,
            "expires_at": write_time(draft.expires_at),
            "ttl": ttl_until(draft.expires_at, turn.created_at),
        }
        condition = sql.unchanged_header(turn.gen, turn.seq - 1)
        batch: Batch = [
            ("create", (item,), {}),
            (
                "patch",
                (header_id(turn.session_id), set_fields(header)),
                {"filter_predicate": condition},
            ),
        ]
        try:
            await self.spending.write_batch(user, batch, turns=1)
        except ItemExists:
            return AlreadyThere()
        except (ItemChanged, ItemMissing, Contended):
            return HeaderMoved()
        except Busy as throttled:
            return Throttled(throttled.retry_after or 1)
        except StoreUnavailable:
            return OutcomeUnknown()
        return Committed()

    async def read_turn(
        self, user: UserId, session: SessionId, gen: Gen, turn_id: TurnId
    ) -> Turn | None:
        """One turn by its id."""
        try:
            async with self.containers.call(MEMORY) as container:
                item = await container.read_item(turn_item_id(session, gen, turn_id), user.value)
        except ItemMissing:
            return None
        if (item["session_id"], item["turn_id"]) != (session.value, turn_id.value):
            return None
        return turn_of(item)

    async def read_tail(self, user: UserId, header: Header) -> Sequence[Turn]:
        """The newest turns up to the header's count, oldest first: at most 20 or about 64 KB."""
        upto = header.turn_count
        parameters = self._of_gen(user, header.session_id, header.gen)
        parameters |= {"@limit": MAX_WINDOW_TURNS, "@after": upto - MAX_WINDOW_TURNS, "@upto": upto}
        return (await self._read(user, sql.LIST_NEWEST_TURNS, parameters, MAX_WINDOW_BYTES))[::-1]

    async def list_turns(
        self, user: UserId, session: SessionId, gen: Gen, after_seq: int, limit: int
    ) -> Sequence[Turn]:
        """Turns past `after_seq`, in order, until they exceed about 1 MB.

        Fewer than `limit` if some of them have expired; none only if there are none.
        """
        parameters = self._of_gen(user, session, gen) | {"@limit": limit, "@after": after_seq}
        for upto in (after_seq + limit, MAX_SEQ):
            bounded = parameters | {"@upto": upto}
            if turns := await self._read(user, sql.LIST_TURNS, bounded, MAX_PAGE_BYTES):
                return turns
        return ()

    async def list_turns_before(
        self, user: UserId, session: SessionId, gen: Gen, before_seq: int, limit: int
    ) -> Sequence[Turn]:
        """Turns before `before_seq`, newest first, until they exceed about 1 MB.

        Fewer than `limit` if some of them have expired; none only if there are none.
        """
        upto = before_seq - 1
        parameters = self._of_gen(user, session, gen) | {"@limit": limit, "@upto": upto}
        for after in (upto - limit, 0):
            bounded = parameters | {"@after": after}
            if turns := await self._read(user, sql.LIST_NEWEST_TURNS, bounded, MAX_PAGE_BYTES):
                return turns
        return ()

    async def _read(
        self, user: UserId, text: str, parameters: dict[str, Any], max_bytes: int
    ) -> list[Turn]:
        """The results of a query, up to and including the turn that reaches `max_bytes`."""
        turns: list[Turn] = []
        async with self.containers.call(MEMORY) as container:
            found = container.query_items(
                sql.on_one_line(text),
                parameters=sql.to_parameters(parameters),
                partition_key=user.value,
            )
            async for item in found:
                turns.append(turn_of(item))
                if sum(turn.size for turn in turns) >= max_bytes:
                    break
        return turns

    @staticmethod
    def _of_gen(user: UserId, session: SessionId, gen: Gen) -> dict[str, Any]:
        return {"@user_id": user.value, "@session_id": session.value, "@gen": gen.value}
