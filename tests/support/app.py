"""The application as tests use it: over HTTP, on given stores."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import httpx
from azure.core.pipeline.transport import AsyncHttpTransport
from fastapi import FastAPI

from cosmos_local import LOCAL_ENDPOINT, LOCAL_KEY, LocalCosmos
from local.jobs import LocalQueue
from shared.bootstrap.background import Background
from shared.bootstrap.composition import Composition
from shared.domain.deadlines import Deadlines
from shared.http.app import create_api
from shared.settings import AuthMode, Settings

Transport = AsyncHttpTransport[Any, Any]
ADA, BEN = "ada", "ben"
PATIENT = Deadlines(recall=20, embedding=20)  # a busy machine must not fail tests
WARM_CALLS = 4  # of Cosmos DB: header, preferences, one search by keywords, one batch


class ProcessDied(BaseException):
    """The process was killed: none of its handlers runs any more."""


@dataclass(frozen=True, slots=True)
class Keepsake:
    """One worker of the application."""

    api: FastAPI
    composition: Composition
    jobs: LocalQueue

    def client(self, user: str | None = ADA) -> httpx.AsyncClient:
        """An HTTP client of a user; None sends no user header."""
        transport = httpx.ASGITransport(self.api, raise_app_exceptions=False)
        headers = {"x-user-id": user} if user else {}
        return httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1/api", headers=headers
        )

    async def chat(
        self, message: str | None = "Hello", *, user: str = ADA, **fields: Any
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

    async def run_jobs(self) -> None:
        """Run all waiting jobs, as the queue function would."""
        await self.jobs.drain(Background(self.composition).consolidate_session)

    async def run_timers(self) -> None:
        """Run the timers, then all jobs that they have enqueued."""
        background = Background(self.composition)
        await background.sweep_deleted_sessions()
        await background.summarise_idle_sessions()
        await self.run_jobs()


class ModelUrl(Protocol):
    """A model server, in this process or another."""

    @property
    def url(self) -> str:
        """The value for OPENAI_BASE_URL."""
        ...


@dataclass(frozen=True, slots=True)
class ModelAt:
    """A model server in another process."""

    url: str


def local_settings(model: ModelUrl, **changed: Any) -> Settings:
    """Settings for local mode."""
    values: dict[str, Any] = {
        "auth_mode": AuthMode.LOCAL,
        "cosmos_endpoint": LOCAL_ENDPOINT,
        "cosmos_key": LOCAL_KEY,
        "openai_base_url": model.url,
        "openai_api_key": "none",
        "chat_model": "scripted",
        "container_name": None,  # tests may run in a container, which sets this
    }
    return Settings(**(values | changed))


@dataclass(frozen=True, slots=True)
class _StoreClock:
    """The clock of a worker: the store's, which tests may advance, plus some seconds."""

    cosmos: LocalCosmos
    ahead: float

    def now(self) -> datetime:
        """The time of this worker."""
        return datetime.fromtimestamp(self.cosmos.clock.now() + self.ahead, UTC)


@asynccontextmanager
async def running(
    cosmos: LocalCosmos,
    model: ModelUrl,
    *,
    wrap: Callable[[Transport], Transport] = lambda inner: inner,
    clock_ahead: float = 0.0,
    deadlines: Deadlines = PATIENT,
    **settings: Any,
) -> AsyncIterator[Keepsake]:
    """A worker on these stores.

    `wrap` may put a faulty transport between the SDK and Cosmos DB. The worker's queue is in this
    process, unless the settings name another. Its clock may be some seconds ahead of the store's.
    """
    jobs = LocalQueue()
    composition = Composition(
        local_settings(model, **settings),
        cosmos_transport=wrap(cosmos.transport()),
        jobs=None if "queue_endpoint" in settings else jobs,
        clock=_StoreClock(cosmos, clock_ahead),
        deadlines=deadlines,
    )
    try:
        yield Keepsake(create_api(composition), composition, jobs)
    finally:
        with suppress(ProcessDied):  # a process that is dead closes nothing
            await composition.close()
