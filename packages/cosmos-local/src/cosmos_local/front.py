"""The entry all transports share: faults first, then the gateway."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from cosmos_local.faults import Fault, Faults
from cosmos_local.feeds import KINDS
from cosmos_local.gateway import Gateway, Quirk, refuse
from cosmos_local.wire import WireRequest, WireResponse


@dataclass(frozen=True)
class Broken:
    """The connection breaks without an answer."""


@dataclass(frozen=True)
class Silent:
    """The connection stays open without an answer."""


BROKEN: Final = Broken()
SILENT: Final = Silent()


class Front:
    """Decides what happens to a request: a fault, an answer, or none."""

    def __init__(self, gateway: Gateway, faults: Faults) -> None:
        """Apply faults in front of a gateway."""
        self._gateway = gateway
        self._faults = faults

    def take(self, request: WireRequest) -> Fault | None:
        """Return the fault that hits the request; the transport waits its delay, then goes on."""
        return self._faults.take(request)

    def finish(self, request: WireRequest, fault: Fault | None) -> WireResponse | Broken | Silent:
        """Answer the request, or say how the answer is lost."""
        if fault is None:
            return self._gateway.respond(request)
        if fault.only_changes_answer:
            return self._gateway.respond(request, Quirk(fault.short_pages, fault.stale))
        if fault.applied:
            self._gateway.respond(request)
        if fault.hang:
            return SILENT
        return BROKEN if fault.status is None else refuse(fault.refusal())


async def finish(
    front: Front, request: WireRequest, fault: Fault | None
) -> WireResponse | Broken | Silent:
    """Finish a request; a query does so in a thread, as it may have an index to build first."""
    if request.kind in KINDS:
        return await asyncio.to_thread(front.finish, request, fault)
    return front.finish(request, fault)
