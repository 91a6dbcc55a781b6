"""Start-up: what a worker imports ahead of its first request, and how."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

SDKS = (
    "jwt",
    "shared.adapters.cosmos.tombstones",
    "shared.adapters.cosmos.preferences",
    "shared.adapters.cosmos.session_data",
    "shared.adapters.cosmos.sessions",
    "shared.adapters.cosmos.consolidation",
    "shared.adapters.cosmos.turns",
    "shared.adapters.cosmos.turn_index",
    "shared.adapters.openai.chat",
    "shared.adapters.openai.embeddings",
    "shared.adapters.redis.client",
    "shared.adapters.redis.session_cache",
    "shared.adapters.queue.storage_queue",
    "openai.resources.models",
)


def import_sdks(*, identity: bool) -> None:
    """Import what a chat turn needs: about a second of CPU, off the event loop.

    `identity`: managed identity is used too. Idempotent.
    """
    for name in (*SDKS, "azure.identity.aio") if identity else SDKS:
        import_module(name)


@contextmanager
def paused_garbage_collector() -> Iterator[None]:
    """Run imports without the garbage collector.

    Each of its long passes stops every thread, the event loop's too, for a tenth of a second.
    What was imported stays for good, so the collector need not look at it again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
