"""Faults and the clock over http, for tests in any language; off by default."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields

from cosmos_local.clock import Clock
from cosmos_local.errors import Refusal, bad_request
from cosmos_local.faults import Fault, Faults
from cosmos_local.gateway import refuse
from cosmos_local.values import Document, is_number, load_object
from cosmos_local.wire import WireRequest, WireResponse

PREFIX = "_local"
_FIELDS = {item.name for item in fields(Fault)} - {"match"}


class Control:
    """Answers requests under /_local/."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        """Control these faults and this clock."""
        self._faults = faults
        self._clock = clock

    def respond(self, request: WireRequest) -> WireResponse:
        """Set a fault, clear the faults, move the clock, or report the state."""
        routes: dict[tuple[str, str], Callable[[WireRequest], None]] = {
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): lambda _: self._faults.clear(),
            ("POST", "clock"): self._advance,
            ("GET", "state"): lambda _: None,
        }
        route = routes.get((request.method, "/".join(request.segments[1:])))
        if route is None:
            return refuse(Refusal(404, "The control API has faults, clock and state."))
        try:
            route(request)
        except Refusal as refusal:
            return refuse(refusal)
        state: Document = {"now": self._clock.now(), "hits": self._faults.hits()}
        return WireResponse(200, json.dumps(state).encode(), {"content-type": "application/json"})

    def _add_fault(self, request: WireRequest) -> None:
        body = load_object(request.body)
        self._faults.add(read_fault(body))

    def _advance(self, request: WireRequest) -> None:
        seconds = load_object(request.body).get("advance")
        if not is_number(seconds) or seconds < 0:
            raise bad_request(
                "The clock needs 'advance', a number of seconds that is not negative."
            )
        self._clock.advance(seconds)


def read_fault(body: Document) -> Fault:
    """Read a fault from JSON; the types of its values follow the defaults of the class."""
    if unknown := body.keys() - _FIELDS:
        raise bad_request(f"A fault has no {', '.join(sorted(unknown))}.")
    defaults = Fault()
    for name, value in body.items():
        default = getattr(defaults, name)
        wanted = (
            (int, str)
            if default is None
            else (int, float)
            if isinstance(default, float)
            else (type(default),)
        )
        if not isinstance(value, wanted) or (
            isinstance(value, bool) and not isinstance(default, bool)
        ):
            raise bad_request(f"The fault's {name} has the wrong type.")
    return Fault(**body)  # type: ignore[arg-type]  # checked just above
