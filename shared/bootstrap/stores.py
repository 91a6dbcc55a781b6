"""The stores that services use, each on its client."""

from dataclasses import dataclass

from shared.bootstrap.clients import Clients
from shared.ports.cache import SessionCache
from shared.ports.consolidation import ConsolidationStore
from shared.ports.preferences import PreferenceStore
from shared.ports.search import TurnIndex, VectorStore
from shared.ports.sessions import SessionDataStore, SessionStore, TombstoneStore
from shared.ports.system import Clock
from shared.ports.turns import TurnStore
from shared.ports.users import SpendingStore, UsageStore, UserStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One store per port."""

    users: UserStore
    sessions: SessionStore
    tombstones: TombstoneStore
    turns: TurnStore
    turn_index: TurnIndex
    vectors: VectorStore
    consolidation: ConsolidationStore
    session_data: SessionDataStore
    preferences: PreferenceStore
    usage: UsageStore
    spending: SpendingStore
    cache: SessionCache


def make_stores(clients: Clients, clock: Clock) -> Stores:
    """The stores in Cosmos DB, and the cache in Redis if there is one."""
    from shared.adapters import no_session_cache  # noqa: PLC0415 - see startup.py
    from shared.adapters.cosmos import (  # noqa: PLC0415
        consolidation,
        preferences,
        session_data,
        sessions,
        spending,
        tombstones,
        turn_index,
        turns,
        usage,
        users,
        vectors,
    )

    containers = clients.containers
    cosmos_users = users.CosmosUsers(containers)
    cosmos_spending = spending.CosmosSpending(containers, cosmos_users, clock)
    return Stores(
        users=cosmos_users,
        sessions=sessions.CosmosSessions(containers, cosmos_users, clock),
        tombstones=tombstones.CosmosTombstones(containers),
        turns=turns.CosmosTurns(containers, cosmos_spending),
        turn_index=turn_index.CosmosTurnIndex(containers),
        vectors=vectors.CosmosVectors(containers, cosmos_spending, clock),
        consolidation=consolidation.CosmosConsolidation(containers, cosmos_spending, clock),
        session_data=session_data.CosmosSessionData(containers, clock),
        preferences=preferences.CosmosPreferences(containers, clock),
        usage=usage.CosmosUsage(containers),
        spending=cosmos_spending,
        cache=clients.redis or no_session_cache.NoSessionCache(),
    )
