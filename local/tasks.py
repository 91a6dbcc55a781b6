"""Tasks that end with the block they were begun for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

Result = TypeVar("Result")


@contextlib.asynccontextmanager
async def beside(work: Coroutine[None, None, Result]) -> AsyncIterator["asyncio.Task[Result]"]:
    """Do this beside the block; what is not done at its end is cancelled, and waited for."""
    started = asyncio.create_task(work)
    try:
        yield started
    finally:
        started.cancel()
        await asyncio.wait({started})
