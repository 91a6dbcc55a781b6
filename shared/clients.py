"""Clients of what the app stands on: one of each per worker, made from the settings, closed once."""

import asyncio
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from shared.ports.health import Pingable
from shared.ports.jobs import JobQueue
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport
    from azure.identity.aio import DefaultAzureCredential

    from shared.adapters import (
        cosmos_client,
        openai_chat,
        openai_embeddings,
        redis_sessions,
        storage_queue,
    )

SDKS = (
    "jwt",
    "shared.adapters.cosmos_graves",
    "shared.adapters.cosmos_preferences",
    "shared.adapters.cosmos_session_values",
    "shared.adapters.cosmos_sessions",
    "shared.adapters.cosmos_summaries",
    "shared.adapters.cosmos_transcript",
    "shared.adapters.cosmos_turn_index",
    "shared.adapters.openai_chat",
    "shared.adapters.openai_embeddings",
    "shared.adapters.redis_client",
    "shared.adapters.redis_sessions",
    "shared.adapters.storage_queue",
    "openai.resources.models",
)


class Client(Pingable, Protocol):
    """A client that holds connections, and a dependency of readiness."""

    async def close(self) -> None:
        """Let them go."""
        ...


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients; `held` are those to ask whether they are well, and to close. A queue that was given is not."""

    containers: "cosmos_client.CosmosContainers"
    model: "openai_chat.OpenAIChat"
    embeddings: "openai_embeddings.OpenAIEmbeddings | None"
    redis: "redis_sessions.RedisSessions | None"
    jobs: JobQueue
    identity: "DefaultAzureCredential | None"
    held: tuple[Client, ...]

    async def close(self) -> None:
        """Let every connection go, and the identity that opened them last."""
        await asyncio.gather(*(client.close() for client in self.held))
        if self.identity:
            await self.identity.close()


def import_sdks() -> None:
    """Import what a chat turn needs: about a second of CPU, kept off the event loop and off the cold start."""
    for name in SDKS:
        import_module(name)


def make_clients(
    settings: Settings, transport: "AsyncHttpTransport[Any, Any] | None", jobs: JobQueue | None
) -> Clients:
    """The clients that the settings ask for; to Cosmos DB by this transport, if there is one, and with these jobs."""
    identity = _make_identity(settings)
    containers = _make_containers(settings, identity, transport)
    model = _make_model(settings, identity)
    embeddings = _make_embeddings(settings, identity)
    redis = _make_redis(settings, identity)
    held: list[Client] = [containers, model, *(client for client in (embeddings, redis) if client)]
    if jobs is None:
        jobs = queue = _make_queue(settings, identity)
        held.append(queue)
    return Clients(containers, model, embeddings, redis, jobs, identity, tuple(held))


def _make_identity(settings: Settings) -> "DefaultAzureCredential | None":
    """The app's identity in Azure, a developer's login elsewhere; None where keys open everything, as on a laptop."""
    if not settings.needs_identity:
        return None
    from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - see import_sdks

    return DefaultAzureCredential(managed_identity_client_id=settings.azure_client_id)


def _make_containers(
    settings: Settings,
    identity: "DefaultAzureCredential | None",
    transport: "AsyncHttpTransport[Any, Any] | None",
) -> "cosmos_client.CosmosContainers":
    from shared.adapters import cosmos_client  # noqa: PLC0415 - see import_sdks

    account = cosmos_client.CosmosAccount(
        endpoint=settings.cosmos_endpoint,
        database=settings.cosmos_database,
        credential=_reveal(settings.cosmos_key) or identity or "",
        transport=transport,
    )
    return cosmos_client.CosmosContainers(account)


def _make_model(
    settings: Settings, identity: "DefaultAzureCredential | None"
) -> "openai_chat.OpenAIChat":
    from shared.adapters import openai_chat, openai_client  # noqa: PLC0415 - see import_sdks

    endpoint = openai_client.ModelEndpoint(
        base_url=settings.chat_base_url,
        credential=_reveal(settings.openai_api_key) or identity or "",
    )
    return openai_chat.OpenAIChat(
        endpoint, openai_chat.ChatDefaults(settings.chat_model, settings.max_completion_tokens)
    )


def _make_embeddings(
    settings: Settings, identity: "DefaultAzureCredential | None"
) -> "openai_embeddings.OpenAIEmbeddings | None":
    """The embedding model, if there is one; else what was said is recalled by its words."""
    if not settings.embedding_model:
        return None
    from shared.adapters import openai_client, openai_embeddings  # noqa: PLC0415 - see import_sdks

    own = settings.embedding_base_url
    key = settings.embedding_api_key if own else settings.openai_api_key
    endpoint = openai_client.ModelEndpoint(
        own or settings.chat_base_url, _reveal(key) or identity or ""
    )
    return openai_embeddings.OpenAIEmbeddings(endpoint, settings.embedding_model)


def _make_queue(
    settings: Settings, identity: "DefaultAzureCredential | None"
) -> "storage_queue.StorageQueue":
    from shared.adapters import storage_queue  # noqa: PLC0415 - see import_sdks

    account = storage_queue.QueueAccount(
        endpoint=settings.queue_endpoint or "",
        credential=_reveal(settings.queue_key) or identity or "",
    )
    return storage_queue.StorageQueue(account)


def _make_redis(
    settings: Settings, identity: "DefaultAzureCredential | None"
) -> "redis_sessions.RedisSessions | None":
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
