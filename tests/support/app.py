"""The application as tests use it: over HTTP, on given stores."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
from azure.core.pipeline.transport import AsyncHttpTransport
from fastapi import FastAPI

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos
from local.jobs import LocalQueue
from shared.background import Background
from shared.composition import Composition
from shared.http.app import create_api
from shared.settings import AuthMode, Settings

Transport = AsyncHttpTransport[Any, Any]
ADA, BEN = "ada", "ben"
WARM_CALLS = 4  # of Cosmos DB: the header, the preferences, one search by words, one batch


@dataclass(frozen=True, slots=True)
class Keepsake:
    """One worker of the application."""

    api: FastAPI
    composition: Composition
    jobs: LocalQueue

    def client(self, user: str | None = ADA) -> httpx.AsyncClient:
        """An HTTP client of a user; None sends no user at all."""
        transport = httpx.ASGITransport(self.api, raise_app_exceptions=False)
        headers = {"x-user-id": user} if user else {}
        return httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1/api", headers=headers
        )

    async def chat(
        self, message: str = "Hello", *, user: str = ADA, **fields: Any
    ) -> httpx.Response:
        """Send one chat turn."""
        async with self.client(user) as client:
            return await client.post("/chat", json={"message": message, "session_id": "s"} | fields)

    async def get(self, path: str, *, user: str = ADA) -> Any:
        """The JSON of a GET."""
        async with self.client(user) as client:
            return (await client.get(path)).json()

    async def transcript(self, session: str = "s", *, user: str = ADA) -> list[dict[str, Any]]:
        """The turns of a session, at most a hundred."""
        page = await self.get(f"/sessions/{session}/turns?limit=100", user=user)
        turns: list[dict[str, Any]] = page.get("value", [])
        return turns

    async def work(self) -> None:
        """Do all jobs that wait, as the queue function would."""
        await self.jobs.drain(Background(self.composition).consolidate_session)

    async def tick(self) -> None:
        """Let the timers run, then do all jobs they find."""
        background = Background(self.composition)
        await background.sweep_deleted_sessions()
        await background.summarise_idle_sessions()
        await self.work()


class HasUrl(Protocol):
    """A model server, wherever it runs."""

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL wants."""
        ...


@dataclass(frozen=True, slots=True)
class ModelAt:
    """A model server in another process."""

    url: str


def local_settings(model: HasUrl, **changed: Any) -> Settings:
    """Settings of a laptop."""
    values: dict[str, Any] = {
        "auth_mode": AuthMode.LOCAL,
        "cosmos_endpoint": LOCAL_ENDPOINT,
        "cosmos_key": LOCAL_KEY,
        "openai_base_url": model.url,
        "openai_api_key": "none",
        "chat_model": "scripted",
        "container_name": None,  # many a machine that runs tests is a container and says so
    }
    return Settings(**(values | changed))


@dataclass(frozen=True, slots=True)
class _StoreClock:
    """The application's clock follows the store's, which a test may move; it may be so many seconds ahead of it."""

    cosmos: LocalCosmos
    ahead: float

    def now(self) -> datetime:
        """The time of this worker."""
        return datetime.fromtimestamp(self.cosmos.clock.now() + self.ahead, UTC)


@asynccontextmanager
async def running(
    cosmos: LocalCosmos,
    model: HasUrl,
    *,
    wrap: Callable[[Transport], Transport] = lambda inner: inner,
    clock_ahead: float = 0.0,
    **settings: Any,
) -> AsyncIterator[Keepsake]:
    """A worker on these stores; `wrap` may put a faulty transport between the SDK and Cosmos DB.

    Its queue is in this process, unless the settings name another; its clock may be seconds ahead of the store's.
    """
    jobs = LocalQueue()
    composition = Composition(
        local_settings(model, **settings),
        cosmos_transport=wrap(cosmos.transport()),
        jobs=None if "queue_endpoint" in settings else jobs,
        clock=_StoreClock(cosmos, clock_ahead),
    )
    try:
        yield Keepsake(create_api(composition), composition, jobs)
    finally:
        await composition.close()
