"""Tasks that live no longer than the block they were started for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

Result = TypeVar("Result")


@contextlib.asynccontextmanager
async def background_task(
    work: Coroutine[None, None, Result],
) -> AsyncIterator["asyncio.Task[Result]"]:
    """Run a coroutine in the background of a block; cancel it at the end and wait for it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
