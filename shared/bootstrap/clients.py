"""The clients of a worker: one per dependency, made from the settings, closed once."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from shared.domain.deadlines import Deadlines
from shared.ports.jobs import JobQueue
from shared.ports.system import Pingable
from shared.settings import Settings

if TYPE_CHECKING:
    from azure.core.pipeline.transport import AsyncHttpTransport
    from azure.identity.aio import DefaultAzureCredential

    from shared.adapters.cosmos.containers import CosmosContainers
    from shared.adapters.openai.chat import OpenAIChat
    from shared.adapters.openai.embeddings import OpenAIEmbeddings
    from shared.adapters.queue.storage_queue import StorageQueue
    from shared.adapters.redis.session_cache import RedisSessionCache


class Client(Pingable, Protocol):
    """A client that holds connections, and a dependency that readiness asks."""

    async def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients. `owned` are those that readiness pings and `close` closes.

    A queue that was passed in is closed by its owner.
    """

    containers: "CosmosContainers"
    model: "OpenAIChat"
    embeddings: "OpenAIEmbeddings | None"
    redis: "RedisSessionCache | None"
    jobs: JobQueue
    identity: "DefaultAzureCredential | None"
    owned: tuple[Client, ...]

    async def close(self) -> None:
        """Close every connection, and last the identity that opened them. Idempotent."""
        await asyncio.gather(*(client.close() for client in self.owned))
        if self.identity:
            await self.identity.close()


@dataclass(frozen=True, slots=True)
class ClientFactory:
    """Makes the clients that the settings ask for.

    `cosmos_transport` replaces the Cosmos DB SDK's own transport, `jobs` the Storage queue.
    """

    settings: Settings
    deadlines: Deadlines
    cosmos_transport: "AsyncHttpTransport[Any, Any] | None"
    jobs: JobQueue | None

    def make(self) -> Clients:
        """Make them all; each connects with its first call."""
        identity = self._identity()
        containers, model = self._containers(identity), self._model(identity)
        embeddings, redis = self._embeddings(identity), self._redis(identity)
        owned: list[Client] = [containers, model]
        owned += [client for client in (embeddings, redis) if client]
        jobs = self.jobs
        if jobs is None:
            jobs = queue = self._queue(identity)
            owned.append(queue)
        return Clients(containers, model, embeddings, redis, jobs, identity, tuple(owned))

    def _identity(self) -> "DefaultAzureCredential | None":
        """The app's identity in Azure, elsewhere a developer's login; None if keys suffice."""
        if not self.settings.needs_identity:
            return None
        from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415 - see startup.py

        client_id = self.settings.azure_client_id
        return DefaultAzureCredential(managed_identity_client_id=client_id)

    def _containers(self, identity: "DefaultAzureCredential | None") -> "CosmosContainers":
        from shared.adapters.cosmos import containers  # noqa: PLC0415 - see startup.py

        account = containers.CosmosAccount(
            endpoint=self.settings.cosmos_endpoint,
            database=self.settings.cosmos_database,
            credential=_reveal(self.settings.cosmos_key) or identity or "",
            seconds=self.deadlines.cosmos_call,
            transport=self.cosmos_transport,
        )
        return containers.CosmosContainers(account)

    def _model(self, identity: "DefaultAzureCredential | None") -> "OpenAIChat":
        from shared.adapters.openai import chat, client  # noqa: PLC0415 - see startup.py

        settings = self.settings
        credential = _reveal(settings.openai_api_key) or identity or ""
        endpoint = client.ModelEndpoint(settings.chat_base_url, credential)
        defaults = chat.ChatDefaults(settings.chat_model, settings.max_completion_tokens)
        return chat.OpenAIChat(endpoint, defaults)

    def _embeddings(self, identity: "DefaultAzureCredential | None") -> "OpenAIEmbeddings | None":
        """The embedding model, if there is one; without it recall searches keywords only."""
        settings = self.settings
        if not settings.embedding_model:
            return None
        from shared.adapters.openai import client, embeddings  # noqa: PLC0415 - see startup.py

        own = settings.embedding_base_url
        key = _reveal(settings.embedding_api_key if own else settings.openai_api_key)
        endpoint = client.ModelEndpoint(own or settings.chat_base_url, key or identity or "")
        return embeddings.OpenAIEmbeddings(
            endpoint, settings.embedding_model, self.deadlines.embedding_call
        )

    def _queue(self, identity: "DefaultAzureCredential | None") -> "StorageQueue":
        from shared.adapters.queue import storage_queue  # noqa: PLC0415 - see startup.py

        account = storage_queue.QueueAccount(
            endpoint=self.settings.queue_endpoint or "",
            credential=_reveal(self.settings.queue_key) or identity or "",
            seconds=self.deadlines.queue_call,
        )
        return storage_queue.StorageQueue(account)

    def _redis(self, identity: "DefaultAzureCredential | None") -> "RedisSessionCache | None":
        """The session cache, if there is one; without it the app runs on Cosmos DB only."""
        settings = self.settings
        if not (settings.redis_host or settings.redis_socket):
            return None
        from shared.adapters.redis import client, session_cache  # noqa: PLC0415 - see startup.py

        server = client.RedisServer(
            host=settings.redis_host,
            port=settings.redis_port,
            tls=settings.redis_tls,
            socket=settings.redis_socket,
            identity=identity if settings.redis_tls and settings.redis_host else None,
        )
        return session_cache.RedisSessionCache(
            client.connect(server), settings.session_ttl_seconds, self.deadlines
        )


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
