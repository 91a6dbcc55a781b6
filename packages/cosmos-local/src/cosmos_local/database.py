"""One local Cosmos DB account: its storage, its clock, its faults, and the ways in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cosmos_local.catalogue import Catalogue
from cosmos_local.clock import Clock
from cosmos_local.faults import Faults
from cosmos_local.front import Front
from cosmos_local.gateway import Gateway
from cosmos_local.storage import Area, Storage
from cosmos_local.values import Document

if TYPE_CHECKING:
    from cosmos_local.transport import InProcessTransport, SyncInProcessTransport

# Not an address: nothing listens there. It is https so that Entra tokens work in process.
DEFAULT_RANGES = 4  # of each container, so that the SDKs have something to merge
LOCAL_ENDPOINT: Final = "https://cosmos-local.localhost:443"


class LocalCosmos:
    """A Cosmos DB account on one SQLite database."""

    def __init__(
        self,
        storage: Storage,
        *,
        consistency: str = "Strong",
        allow_create: bool = False,
        ranges: int | None = DEFAULT_RANGES,
    ) -> None:
        """Serve a storage; `open` is the usual way in."""
        self.clock = Clock()
        self.faults = Faults()
        self.storage = storage
        self.catalogue = Catalogue(storage, self.clock, ranges)
        self.gateway = Gateway(
            storage, self.clock, self.catalogue, consistency, allow_create=allow_create
        )
        self.front = Front(self.gateway, self.faults)

    @classmethod
    def open(
        cls,
        path: Path | None,
        declaration: Mapping[str, object] | Path | None = None,
        *,
        consistency: str = "Strong",
        allow_create: bool = False,
        ranges: int | None = DEFAULT_RANGES,
    ) -> LocalCosmos:
        """Open the database at a path, or one in memory, with the containers that are declared."""
        declared = _read_declaration(declaration)
        storage = Storage(path)
        try:
            cosmos = cls(storage, consistency=consistency, allow_create=allow_create, ranges=ranges)
            if declared is not None:
                cosmos.catalogue.declare(declared)
        except BaseException:
            storage.close()
            raise
        return cosmos

    def transport(self) -> InProcessTransport:
        """Return a transport for one `azure.cosmos.aio.CosmosClient`."""
        # imported late: a server starts in half the time without the SDK's core
        from cosmos_local.transport import InProcessTransport  # noqa: PLC0415

        return InProcessTransport(self.front)

    def sync_transport(self) -> SyncInProcessTransport:
        """Return a transport for one `azure.cosmos.CosmosClient`."""
        from cosmos_local.transport import SyncInProcessTransport  # noqa: PLC0415 - as above

        return SyncInProcessTransport(self.front)

    def rows(self, container: str, database: str | None = None) -> list[Document]:
        """Return every document in a container, expired ones too, past the SDK."""
        with self.storage.lock:
            owner = database or str(self.catalogue.databases()[0]["id"])
            number = self.catalogue.container(owner, container).number
            return [item.document() for item in self.storage.scan(Area(number), None)]

    def close(self) -> None:
        """Close the database; clients must be closed before."""
        self.gateway.close()
        self.storage.close()


def _read_declaration(declaration: Mapping[str, object] | Path | None) -> Document | None:
    if isinstance(declaration, Path):
        read: Document = json.loads(declaration.read_text())
        return read
    return None if declaration is None else dict(declaration)
