"""A strict, closed-world Cosmos DB on SQLite, under the unmodified azure-cosmos SDK.

    cosmos = LocalCosmos.open(None, Path("infra/containers.json"))
    client = CosmosClient(LOCAL_ENDPOINT, credential=LOCAL_KEY, transport=cosmos.transport())
    ...
    cosmos.clock.advance(3600)                                    # an hour later: what had a shorter ttl is gone
    cosmos.faults.add(Fault(status=429, kind="batch", times=2))   # the next two batches are throttled
    ...
    await client.close()
    cosmos.close()

What it answers, how exactly, and what it refuses is written in docs/local-cosmos.md.
"""

from local.cosmos.authority import LOCAL_KEY
from local.cosmos.clock import Clock
from local.cosmos.database import LOCAL_ENDPOINT, LocalCosmos
from local.cosmos.faults import Fault, Faults
from local.cosmos.storage import DatabaseInUseError
from local.cosmos.wire import WireRequest, WireResponse

__all__ = [
    "LOCAL_ENDPOINT",
    "LOCAL_KEY",
    "Clock",
    "DatabaseInUseError",
    "Fault",
    "Faults",
    "LocalCosmos",
    "WireRequest",
    "WireResponse",
]
