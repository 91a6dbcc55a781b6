"""The timer and queue functions, each one observed call of a service."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.adapters.queue.messages import read_job
from shared.bootstrap.composition import Composition
from shared.telemetry import log_event
from shared.telemetry.meter import Meter, start_meter
from shared.telemetry.notes import start_notes
from shared.telemetry.spans import background_span

MAX_DELIVERIES = 5  # per message, then it is moved to the poison queue: as in host.json


@dataclass(frozen=True, slots=True)
class Background:
    """The background functions of one worker; services are built by the first run."""

    composition: Composition

    async def sweep_deleted_sessions(self) -> None:
        """Sweep sessions again five minutes after their deletion.

        Idempotent: a repeat finds nothing left.
        """
        async with _observed("sweep_deleted_sessions"):
            services = await self.composition.services()
            await services.deletion.sweep_due()

    async def summarise_idle_sessions(self) -> None:
        """Queue the sessions that are due.

        Idempotent in effect: a session that is queued twice is consolidated once.
        """
        async with _observed("summarise_idle_sessions"):
            services = await self.composition.services()
            await services.schedule.queue_due()

    async def consolidate_session(self, message: bytes, deliveries: int) -> None:
        """Consolidate the session of a message; `deliveries` includes this one.

        Idempotent: a repeat finds nothing to do.

        Raises:
            InvalidJob: the message is not a job; the host retries it, then moves it to poison.
            StoreUnavailable, Busy, QueueUnavailable: the host delivers the message again.
        """
        async with _observed("consolidate_session") as meter:
            services = await self.composition.services()
            job, meter.is_work = read_job(message), True
            try:
                await services.consolidation.run(job, last_delivery=deliveries >= MAX_DELIVERIES)
            finally:
                services.counter.count(job.user, meter)


@asynccontextmanager
async def _observed(operation: str) -> AsyncIterator[Meter]:
    """One span and one log line for a run, however it ends."""
    meter, start, error = start_meter(), time.perf_counter(), None
    start_notes()
    with background_span(operation):
        try:
            yield meter
        except BaseException as failed:
            error = type(failed).__name__
            raise
        finally:
            log_event(
                "run",
                operation=operation,
                error_type=error,
                ms=round((time.perf_counter() - start) * 1000, 1),
                request_units=round(meter.spent.request_units, 2),
                cosmos_calls=meter.cosmos_calls,
                model_calls=meter.spent.model_calls,
                prompt_tokens=meter.spent.prompt_tokens,
                completion_tokens=meter.spent.completion_tokens,
                embedding_tokens=meter.spent.embedding_tokens,
            )
