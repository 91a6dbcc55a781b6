"""A strict, closed-world Cosmos DB on SQLite, under the unmodified azure-cosmos SDK.

    cosmos = LocalCosmos.open(None, Path("infra/containers.json"))
    client = CosmosClient(LOCAL_ENDPOINT, credential=LOCAL_KEY, transport=cosmos.transport())
    ...
    cosmos.clock.advance(3600)  # an hour later: items with a shorter ttl have expired
    cosmos.faults.add(Fault(status=429, kind="batch", times=2))  # throttle the next two batches
    ...
    await client.close()
    cosmos.close()

docs/reference.md says what it answers, how exactly, and what it refuses.
"""

from cosmos_local.authority import LOCAL_KEY
from cosmos_local.clock import Clock
from cosmos_local.database import LOCAL_ENDPOINT, LocalCosmos
from cosmos_local.faults import Fault, Faults
from cosmos_local.storage import DatabaseInUseError
from cosmos_local.wire import WireRequest, WireResponse

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
