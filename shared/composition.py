"""What one worker has: the services and what they stand on, built on first use, closed once."""

import asyncio
import gc
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from shared.clients import Clients, import_sdks, make_clients
from shared.ports.clock import Clock
from shared.ports.jobs import JobQueue
from shared.services.consolidation import Consolidation
from shared.services.contexts import Contexts
from shared.services.conversation import Conversation
from shared.services.deletions import Deletions
from shared.services.drafts import Retention
from shared.services.health import Health
from shared.services.idle_sessions import IdleSessions
from shared.services.last_times import LastTimes
from shared.services.missing_vectors import MissingVectors
from shared.services.packs import Packs
from shared.services.preferences import UserPreferences
from shared.services.recall import Recall
from shared.services.session_data import SessionData
from shared.services.sessions import Sessions
from shared.services.summariser import Summariser, SummaryModel
from shared.services.turn_protocol import TurnProtocol
from shared.services.usage import Usage
from shared.settings import Settings
from shared.settings import Summariser as SummariserKind
from shared.stores import Stores, make_stores
from shared.telemetry.export import Destinations, Export
from shared.telemetry.logs import log_event, quiet_libraries, use_digest_key

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport

DRAIN_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, wired."""

    conversation: Conversation
    packs: Packs
    sessions: Sessions
    deletions: Deletions
    session_data: SessionData
    preferences: UserPreferences
    consolidation: Consolidation
    idle_sessions: IdleSessions
    usage: Usage
    health: Health
    clients: Clients


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
        if jobs is None:
            settings.require_queue()
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
            traces_per_second=settings.traces_per_second,
        )
        self._export: Export | None = None
        self._exporting = threading.Lock()
        quiet_libraries()
        self._digest_key = settings.digest_key
        if self._digest_key:
            use_digest_key(self._digest_key)

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
            await services.clients.close()
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
        if self.settings.log_digest_key and not self._digest_key:
            log_event(
                "log_digest_key_unresolved"
            )  # the first start may come before the identity's rights
        from shared.adapters import system_clock  # noqa: PLC0415 - see import_sdks

        clients = make_clients(self.settings, self._cosmos_transport, self._jobs)
        return _wire(self.settings, clients, self._clock or system_clock.SystemClock())


def _wire(settings: Settings, clients: Clients, clock: Clock) -> Services:
    stores, kept = make_stores(clients, clock), settings.retention
    last_times = LastTimes(stores.preferences, stores.sessions, clock, kept)
    contexts = _make_contexts(clients, stores, clock)
    return Services(
        conversation=_make_conversation(settings, clients, stores, contexts, clock),
        packs=Packs(
            stores.sessions, stores.transcript, stores.preferences, stores.users, contexts, clock
        ),
        sessions=Sessions(stores.sessions, stores.transcript, stores.users, last_times),
        deletions=Deletions(stores.sessions, stores.graves, stores.cache, last_times, clock),
        session_data=SessionData(stores.sessions, stores.values, clock, kept),
        preferences=UserPreferences(stores.preferences, stores.users, clock, kept),
        consolidation=_make_consolidation(settings, clients, stores, last_times, clock),
        idle_sessions=IdleSessions(stores.sessions, stores.summaries, clients.jobs, clock),
        usage=Usage(stores.usage, stores.users, clock),
        health=Health(clients.held),
        clients=clients,
    )


def _make_contexts(clients: Clients, stores: Stores, clock: Clock) -> Contexts:
    from shared.adapters import token_counter  # noqa: PLC0415 - see import_sdks

    return Contexts(
        Recall(stores.turn_index, clients.embeddings, clock), token_counter.TokenCounter(), clock
    )


def _make_conversation(
    settings: Settings, clients: Clients, stores: Stores, contexts: Contexts, clock: Clock
) -> Conversation:
    retention = Retention(
        turns=settings.retention,
        unremembered=timedelta(seconds=settings.session_ttl_seconds),
        due_after=timedelta(minutes=settings.idle_minutes),
    )
    protocol = TurnProtocol(stores.sessions, stores.transcript, stores.preferences, stores.cache)
    return Conversation(
        protocol, stores.preferences, clients.model, contexts, clients.jobs, clock, retention
    )


def _make_consolidation(
    settings: Settings, clients: Clients, stores: Stores, last_times: LastTimes, clock: Clock
) -> Consolidation:
    with_model = settings.summariser is SummariserKind.MODEL
    model = SummaryModel(clients.model, settings.summary_model or None) if with_model else None
    return Consolidation(
        stores.sessions,
        stores.transcript,
        stores.preferences,
        stores.summaries,
        last_times,
        Summariser(model, clock, settings.summary_piece_tokens),
        MissingVectors(stores.vectors, clients.embeddings),
        clients.jobs,
        clock,
    )
