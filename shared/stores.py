"""The stores: what the services keep things in, each over its client."""

from dataclasses import dataclass

from shared.clients import Clients
from shared.ports.cache import SessionCache
from shared.ports.clock import Clock
from shared.ports.graves import SessionGraves
from shared.ports.preferences import PreferenceStore
from shared.ports.sessions import SessionStore
from shared.ports.summaries import SummaryStore
from shared.ports.transcript import TranscriptStore
from shared.ports.turn_index import TurnIndex
from shared.ports.usage import UsageStore
from shared.ports.users import UserStore
from shared.ports.values import SessionValues
from shared.ports.vectors import VectorStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """One of each port; whoever wires a service picks those it needs."""

    users: UserStore
    sessions: SessionStore
    graves: SessionGraves
    transcript: TranscriptStore
    turn_index: TurnIndex
    vectors: VectorStore
    summaries: SummaryStore
    values: SessionValues
    preferences: PreferenceStore
    usage: UsageStore
    cache: SessionCache


def make_stores(clients: Clients, clock: Clock) -> Stores:
    """The stores in Cosmos DB, and the cache in Redis if there is one."""
    from shared.adapters import (  # noqa: PLC0415 - see import_sdks
        cosmos_graves,
        cosmos_preferences,
        cosmos_session_values,
        cosmos_sessions,
        cosmos_summaries,
        cosmos_transcript,
        cosmos_turn_index,
        cosmos_usage,
        cosmos_users,
        cosmos_vectors,
        no_session_cache,
    )

    containers = clients.containers
    users = cosmos_users.CosmosUsers(containers)
    return Stores(
        users=users,
        sessions=cosmos_sessions.CosmosSessions(containers, users, clock),
        graves=cosmos_graves.CosmosGraves(containers),
        transcript=cosmos_transcript.CosmosTranscript(containers),
        turn_index=cosmos_turn_index.CosmosTurnIndex(containers),
        vectors=cosmos_vectors.CosmosVectors(containers, clock),
        summaries=cosmos_summaries.CosmosSummaries(containers, clock),
        values=cosmos_session_values.CosmosSessionValues(containers, clock),
        preferences=cosmos_preferences.CosmosPreferences(containers, clock),
        usage=cosmos_usage.CosmosUsage(containers),
        cache=clients.redis or no_session_cache.NoSessionCache(),
    )
