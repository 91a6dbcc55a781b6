"""The only builder of clients: one of each per worker, made on first use, closed once."""

import asyncio
import gc
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from shared.ports.cache import SessionCache
from shared.ports.clock import Clock
from shared.ports.health import Pingable
from shared.ports.jobs import JobQueue
from shared.services.consolidation import Consolidation
from shared.services.conversation import Conversation
from shared.services.drafts import Retention
from shared.services.health import Health
from shared.services.idle_sessions import IdleSessions
from shared.services.last_times import LastTimes
from shared.services.preferences import UserPreferences
from shared.services.session_data import SessionData
from shared.services.sessions import Sessions
from shared.services.summariser import Summariser, SummaryModel
from shared.services.turn_protocol import TurnProtocol
from shared.services.usage import Usage
from shared.settings import Settings, SettingsError
from shared.settings import Summariser as SummariserKind
from shared.telemetry.export import Destinations, Export
from shared.telemetry.logs import quiet_libraries, use_digest_key

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport
    from azure.identity.aio import DefaultAzureCredential

    from shared.adapters import cosmos_client, openai_chat, redis_sessions, storage_queue


class Client(Pingable, Protocol):
    """A client that holds connections, and a dependency of readiness."""

    async def close(self) -> None:
        """Let them go."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, wired."""

    conversation: Conversation
    sessions: Sessions
    session_data: SessionData
    preferences: UserPreferences
    consolidation: Consolidation
    idle_sessions: IdleSessions
    usage: Usage
    health: Health
    clients: tuple[Client, ...]
    identity: "DefaultAzureCredential | None"


DRAIN_SECONDS = 3.0
SDKS = (
    "jwt",
    "shared.adapters.cosmos_graves",
    "shared.adapters.cosmos_preferences",
    "shared.adapters.cosmos_session_values",
    "shared.adapters.cosmos_sessions",
    "shared.adapters.cosmos_summaries",
    "shared.adapters.cosmos_transcript",
    "shared.adapters.openai_chat",
    "shared.adapters.redis_client",
    "shared.adapters.redis_sessions",
    "shared.adapters.storage_queue",
    "openai.resources.chat.completions",
    "openai.resources.models",
)


def import_sdks() -> None:
    """Import what a chat turn needs: about a second of CPU, kept off the event loop and off the cold start."""
    for name in SDKS:
        import_module(name)


class Composition:
    """What one worker has. Nothing heavy is imported before the first request or the prefetch."""

    def __init__(
        self,
        settings: Settings,
        *,
        cosmos_transport: "AsyncHttpTransport[Any, Any] | None" = None,
        jobs: JobQueue | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Keep the settings; `cosmos_transport`, `jobs` and `clock` are where a laptop and tests come in.

        Raises:
            SettingsError: there is no queue.
        """
        if jobs is None and settings.queue_endpoint is None:
            raise SettingsError(
                "Keepsake cannot start. QUEUE_ENDPOINT: the queue service of a storage account is needed."
            )
        self.settings = settings
        self._jobs = jobs
        self._cosmos_transport = cosmos_transport
        self._clock = clock
        self._services: Services | None = None
        self._lock = asyncio.Lock()
        self._destinations = Destinations(
            service=settings.website_site_name or "keepsake",
            otlp_endpoint=settings.otel_exporter_otlp_endpoint,
            connection_string=settings.applicationinsights_connection_string,
        )
        self._export: Export | None = None
        self._exporting = threading.Lock()
        quiet_libraries()
        if settings.log_digest_key:
            use_digest_key(settings.log_digest_key.get_secret_value().encode())

    def prefetch(self) -> None:
        """Do in a thread, beside the first request, what that would else wait for. Twice is harmless.

        The garbage collector rests meanwhile, since each of its long passes stops every thread, the event loop's too,
        for a tenth of a second. What was imported stays for good, so it need not look at that again.
        """
        gc.disable()
        try:
            self._start_export()
            import_sdks()
            if self.settings.needs_identity:
                import_module("azure.identity.aio")
        finally:
            gc.freeze()
            gc.enable()

    async def services(self) -> Services:
        """The services; the first call imports and builds them, in a thread, so that the loop goes on."""
        async with self._lock:
            if self._services is None:
                self._services = await asyncio.to_thread(self._build)
            return self._services

    async def until_exporting(self) -> None:
        """Wait until telemetry has where to go, if it is to go anywhere: a turn would wait for that too.

        An exporter that cannot be made fails what needs the services, which make it, and not this.
        """
        if self._destinations and self._export is None:
            with suppress(Exception):
                await asyncio.to_thread(self._start_export)

    async def close(self) -> None:
        """Let turns under way end, then close every client. Twice is harmless."""
        async with self._lock:
            services, self._services = self._services, None
        if services is not None:
            await services.conversation.drain(DRAIN_SECONDS)
            await asyncio.gather(*(client.close() for client in services.clients))
            if services.identity:
                await services.identity.close()
        export, self._export = self._export, None
        if export:
            await asyncio.to_thread(export.close)

    def _start_export(self) -> None:
        """Begin to send telemetry, if there is where to."""
        with self._exporting:
            if self._destinations and self._export is None:
                self._export = Export(self._destinations)
                self._export.install()

    def _build(self) -> Services:
        self.prefetch()
        from shared.adapters import (  # noqa: PLC0415 - see import_sdks
            cosmos_graves,
            cosmos_preferences,
            cosmos_session_values,
            cosmos_sessions,
            cosmos_summaries,
            cosmos_transcript,
            cosmos_usage,
            cosmos_users,
            no_session_cache,
            system_clock,
            token_counter,
        )

        clock = self._clock or system_clock.SystemClock()
        settings, kept = self.settings, self.settings.retention
        identity = _make_identity(settings)
        containers = _make_containers(settings, identity, self._cosmos_transport)
        model = _make_model(settings, identity)
        redis = _make_redis(settings, identity)
        queue = None if self._jobs else _make_queue(settings, identity)
        jobs: JobQueue = self._jobs or queue  # type: ignore[assignment]  # __init__ has seen to it that one is there
        cache: SessionCache = redis or no_session_cache.NoSessionCache()
        users = cosmos_users.CosmosUsers(containers)
        sessions = cosmos_sessions.CosmosSessions(containers, users, clock)
        transcript = cosmos_transcript.CosmosTranscript(containers)
        preferences = cosmos_preferences.CosmosPreferences(containers, clock)
        values = cosmos_session_values.CosmosSessionValues(containers, clock)
        graves = cosmos_graves.CosmosGraves(containers)
        summaries = cosmos_summaries.CosmosSummaries(containers, clock)
        tokens = token_counter.TokenCounter()
        protocol = TurnProtocol(sessions, transcript, preferences, cache)
        last_times = LastTimes(preferences, sessions, clock, kept)
        summariser = Summariser(_summary_model(settings, model), clock)
        clients = tuple(client for client in (containers, model, redis, queue) if client)
        return Services(
            conversation=Conversation(protocol, preferences, model, tokens, jobs, clock, _retention(settings)),
            sessions=Sessions(sessions, graves, transcript, users, cache, last_times, clock, kept),
            session_data=SessionData(sessions, values, clock, kept),
            preferences=UserPreferences(preferences, users, clock, kept),
            consolidation=Consolidation(
                sessions,
                transcript,
                preferences,
                summaries,
                last_times,
                summariser,
                jobs,
                clock,
                settings.summary_piece_tokens,
            ),
            idle_sessions=IdleSessions(sessions, summaries, jobs, clock),
            usage=Usage(cosmos_usage.CosmosUsage(containers), users, clock),
            health=Health(clients),
            clients=clients,
            identity=identity,
        )


def _retention(settings: Settings) -> Retention:
    return Retention(
        turns=settings.retention,
        unremembered=timedelta(seconds=settings.session_ttl_seconds),
        due_after=timedelta(minutes=settings.idle_minutes),
    )


def _make_identity(settings: Settings) -> "DefaultAzureCredential | None":
    """The app's identity in Azure, a developer's login elsewhere; None where keys open everything, as on a laptop."""
    if not settings.needs_identity:
        return None
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - see import_sdks

    return DefaultAzureCredential(managed_identity_client_id=settings.azure_client_id)


def _make_containers(
    settings: Settings, identity: "DefaultAzureCredential | None", transport: "AsyncHttpTransport[Any, Any] | None"
) -> "cosmos_client.CosmosContainers":
    from shared.adapters import cosmos_client  # noqa: PLC0415 - see import_sdks

    account = cosmos_client.CosmosAccount(
        endpoint=settings.cosmos_endpoint,
        database=settings.cosmos_database,
        credential=_reveal(settings.cosmos_key) or identity or "",
        transport=transport,
    )
    return cosmos_client.CosmosContainers(account)


def _make_model(settings: Settings, identity: "DefaultAzureCredential | None") -> "openai_chat.OpenAIChat":
    from shared.adapters import openai_chat  # noqa: PLC0415 - see import_sdks

    endpoint = openai_chat.ChatEndpoint(
        base_url=settings.chat_base_url,
        model=settings.chat_model,
        credential=_reveal(settings.openai_api_key) or identity or "",
        max_completion_tokens=settings.max_completion_tokens,
    )
    return openai_chat.OpenAIChat(endpoint)


def _summary_model(settings: Settings, chat: "openai_chat.OpenAIChat") -> SummaryModel | None:
    return SummaryModel(chat, settings.summary_model or None) if settings.summariser is SummariserKind.MODEL else None


def _make_queue(settings: Settings, identity: "DefaultAzureCredential | None") -> "storage_queue.StorageQueue":
    from shared.adapters import storage_queue  # noqa: PLC0415 - see import_sdks

    account = storage_queue.QueueAccount(
        endpoint=settings.queue_endpoint or "", credential=_reveal(settings.queue_key) or identity or ""
    )
    return storage_queue.StorageQueue(account)


def _make_redis(settings: Settings, identity: "DefaultAzureCredential | None") -> "redis_sessions.RedisSessions | None":
    """The session cache, if there is one; else it is the Cosmos-only mode."""
    if not (settings.redis_host or settings.redis_socket):
        return None
    from shared.adapters import redis_client, redis_sessions  # noqa: PLC0415 - only where there is a Redis

    server = redis_client.RedisServer(
        host=settings.redis_host,
        port=settings.redis_port,
        tls=settings.redis_tls,
        socket=settings.redis_socket,
        identity=identity if settings.redis_tls and settings.redis_host else None,
    )
    return redis_sessions.RedisSessions(redis_client.connect(server), settings.session_ttl_seconds)


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
