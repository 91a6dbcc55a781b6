"""The only builder of clients: one of each per worker, made on first use, closed once."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from shared.ports import Clock
from shared.services.conversation import Conversation, Retention
from shared.services.health import Health
from shared.services.preferences import UserPreferences
from shared.services.sessions import Sessions
from shared.services.turn_protocol import TurnProtocol
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport


class Closable(Protocol):
    """A client that holds connections."""

    async def close(self) -> None:
        """Let them go."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, wired."""

    conversation: Conversation
    sessions: Sessions
    preferences: UserPreferences
    health: Health
    clients: tuple[Closable, ...] = field(repr=False)


def import_sdks() -> None:
    """Import what every chat turn needs: about a second of CPU, kept off the event loop and off the cold start."""
    for name in ("cosmos_client", "cosmos_transcript", "openai_chat"):
        import_module(f"shared.adapters.{name}")


class Composition:
    """What one worker has. Nothing heavy is imported before the first request or the prefetch."""

    def __init__(
        self,
        settings: Settings,
        *,
        cosmos_transport: "AsyncHttpTransport[Any, Any] | None" = None,
        clock: Clock | None = None,
    ) -> None:
        """Keep the settings; `cosmos_transport` and `clock` are where a laptop and tests come in."""
        self.settings = settings
        self._cosmos_transport = cosmos_transport
        self._clock = clock
        self._services: Services | None = None
        self._lock = asyncio.Lock()

    async def services(self) -> Services:
        """The services; the first call imports and builds them, in a thread, so that the loop goes on."""
        async with self._lock:
            if self._services is None:
                self._services = await asyncio.to_thread(self._build)
            return self._services

    async def close(self) -> None:
        """Close every client. Twice is harmless."""
        async with self._lock:
            services, self._services = self._services, None
        if services is not None:
            await asyncio.gather(*(client.close() for client in services.clients))

    def _build(self) -> Services:
        from shared.adapters import (  # noqa: PLC0415 - the SDKs behind them are heavy, see import_sdks
            cosmos_client,
            cosmos_graves,
            cosmos_preferences,
            cosmos_sessions,
            cosmos_transcript,
            cosmos_users,
            openai_chat,
            system_clock,
        )

        settings = self.settings
        clock = self._clock or system_clock.SystemClock()
        containers = cosmos_client.CosmosContainers(
            cosmos_client.CosmosAccount(
                endpoint=settings.cosmos_endpoint,
                database=settings.cosmos_database,
                key=settings.cosmos_key.get_secret_value() if settings.cosmos_key else None,
                client_id=settings.azure_client_id,
                transport=self._cosmos_transport,
            )
        )
        model = openai_chat.OpenAIChat(
            openai_chat.ChatEndpoint(
                base_url=settings.chat_base_url,
                model=settings.chat_model,
                key=settings.openai_api_key.get_secret_value() if settings.openai_api_key else None,
                client_id=settings.azure_client_id,
                max_completion_tokens=settings.max_completion_tokens,
            )
        )
        users = cosmos_users.CosmosUsers(containers)
        sessions = cosmos_sessions.CosmosSessions(containers, users, clock)
        transcript = cosmos_transcript.CosmosTranscript(containers)
        preferences = cosmos_preferences.CosmosPreferences(containers, clock)
        graves = cosmos_graves.CosmosGraves(containers)
        retention = Retention(
            turns=settings.retention,
            unremembered=timedelta(seconds=settings.session_ttl_seconds),
            due_after=timedelta(minutes=settings.idle_minutes),
        )
        protocol = TurnProtocol(sessions, transcript, preferences)
        return Services(
            conversation=Conversation(protocol, preferences, model, clock, retention),
            sessions=Sessions(sessions, graves, transcript, users, clock, settings.retention),
            preferences=UserPreferences(preferences, users, clock, settings.retention),
            health=Health([containers, model]),
            clients=(containers, model),
        )
