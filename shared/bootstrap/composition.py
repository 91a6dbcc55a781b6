"""What one worker owns: its clients and services, made on first use, closed once."""

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.bootstrap.clients import ClientFactory
from shared.bootstrap.services import ServiceFactory, Services
from shared.bootstrap.startup import import_sdks, paused_garbage_collector
from shared.bootstrap.stores import make_stores
from shared.domain.deadlines import Deadlines
from shared.domain.ids import UserId
from shared.ports.jobs import JobQueue
from shared.ports.system import Clock
from shared.settings import Settings
from shared.telemetry.export import Destinations, Export
from shared.telemetry.logs import log_event, quiet_libraries, use_digest_key
from shared.telemetry.meter import Meter

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport


class Composition:
    """What one worker owns. Nothing heavy is imported before the first request or the prefetch."""

    def __init__(
        self,
        settings: Settings,
        *,
        cosmos_transport: "AsyncHttpTransport[Any, Any] | None" = None,
        jobs: JobQueue | None = None,
        clock: Clock | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        """Keep the settings. A laptop and tests pass their own transport, queue, clock, deadlines.

        Raises:
            SettingsError: there is no queue.
        """
        if jobs is None:
            settings.require_queue()
        self.settings = settings
        self.deadlines = deadlines or Deadlines(first_token=settings.first_token_seconds)
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
        """Do in a thread, alongside the first request, what it would otherwise wait for.

        Idempotent.
        """
        with paused_garbage_collector():
            self._start_export()
            import_sdks(identity=self.settings.needs_identity)

    async def services(self) -> Services:
        """The services. The first call imports and makes them in a thread, off the event loop."""
        async with self._lock:
            if self._services is None:
                self._services = await asyncio.to_thread(self._build)
            return self._services

    async def until_exporting(self) -> None:
        """Wait until telemetry has its exporter, if it has a destination; a turn waits for it too.

        If the exporter cannot be made, requests that need the services fail, not this.
        """
        if self._destinations and self._export is None:
            with suppress(Exception):
                await asyncio.to_thread(self._start_export)

    async def close(self) -> None:
        """Let turns in progress finish, then close every client. Idempotent."""
        async with self._lock:
            services, self._services = self._services, None
        if services is not None:
            await services.chat.drain()
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.deadlines.drain):
                        await services.counter.close()
            finally:
                await services.clients.close()
        export, self._export = self._export, None
        if export:
            await asyncio.to_thread(export.close)

    def count_spending(self, user: UserId, meter: Meter) -> None:
        """Count what a request has spent, if it got as far as the services."""
        if self._services:
            self._services.counter.count(user, meter)

    def _start_export(self) -> None:
        """Start to send telemetry, if it has a destination."""
        with self._exporting:
            if self._destinations and self._export is None:
                self._export = Export(self._destinations)
                self._export.install()

    def _build(self) -> Services:
        self.prefetch()
        if self.settings.log_digest_key and not self._digest_key:
            log_event(
                "log_digest_key_unresolved"
            )  # a first start may precede the identity's rights
        from shared.adapters import system_clock  # noqa: PLC0415 - see startup.py
        from shared.adapters.language import tokens  # noqa: PLC0415

        clients = ClientFactory(
            self.settings, self.deadlines, self._cosmos_transport, self._jobs
        ).make()
        clock = self._clock or system_clock.SystemClock()
        return ServiceFactory(
            settings=self.settings,
            deadlines=self.deadlines,
            clients=clients,
            stores=make_stores(clients, clock),
            tokens=tokens.TiktokenCounter(),
            clock=clock,
        ).make()
