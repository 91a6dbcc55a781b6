"""What runs without a caller: timers and the queue function, each one call of a service, seen from outside."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.adapters.queue.messages import read_job
from shared.bootstrap.composition import Composition
from shared.telemetry import log_event
from shared.telemetry.meter import start_meter
from shared.telemetry.notes import start_notes
from shared.telemetry.spans import background_span

MAX_DELIVERIES = 5  # of one message, then it is poison: maxDequeueCount of host.json


class Background:
    """The runs of one worker."""

    def __init__(self, composition: Composition) -> None:
        """Take the services of a composition, when there is something to do."""
        self._composition = composition

    async def sweep_deleted_sessions(self) -> None:
        """Sweep sessions deleted five minutes ago once more. Twice is harmless."""
        async with _observed("sweep_deleted_sessions"):
            services = await self._composition.services()
            await services.deletion.sweep_due()

    async def summarise_idle_sessions(self) -> None:
        """Put sessions that are due on the queue. Twice is harmless."""
        async with _observed("summarise_idle_sessions"):
            services = await self._composition.services()
            await services.schedule.queue_due()

    async def consolidate_session(self, message: bytes, deliveries: int) -> None:
        """Do the job of a message that was delivered so many times, this one included. Twice is harmless.

        Raises:
            InvalidJob: it is none; so often delivered, it becomes poison.
            StoreUnavailable, Busy, QueueUnavailable: it is to be delivered again.
        """
        async with _observed("consolidate_session"):
            services = await self._composition.services()
            await services.consolidation.run(
                read_job(message), last_delivery=deliveries >= MAX_DELIVERIES
            )


@asynccontextmanager
async def _observed(operation: str) -> AsyncIterator[None]:
    """One span and one log line for a run, whatever becomes of it."""
    meter, start, error = start_meter(), time.perf_counter(), None
    start_notes()
    with background_span(operation):
        try:
            yield
        except BaseException as failed:
            error = type(failed).__name__
            raise
        finally:
            log_event(
                "run",
                operation=operation,
                error_type=error,
                ms=round((time.perf_counter() - start) * 1000, 1),
                request_units=round(meter.request_units, 2),
                cosmos_calls=meter.cosmos_calls,
                model_calls=meter.model_calls,
                prompt_tokens=meter.prompt_tokens,
                completion_tokens=meter.completion_tokens,
                embedding_tokens=meter.embedding_tokens,
            )
