"""Faults to inject: what fails, how often, and for which requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cosmos_local.errors import RATE_TOO_LARGE, Refusal
from cosmos_local.wire import WireRequest


@dataclass(frozen=True)
class Fault:
    """A fault that hits the requests it matches.

    `kind`, `method`, `path` (a part of it) and `match` narrow the requests down. The first `skip`
    matching requests are spared, the next `times` are hit. A hit waits `delay` seconds, then one
    of these happens:

    - `status`: the answer is this error, with `substatus` and `retry_after_ms` if given; the
      operation is not done.
    - `status` and `applied`: the operation is done, and the error is answered all the same.
    - `applied` alone: the operation is done, and the connection breaks before the answer.
    - `hang`: there is no answer until the client's read timeout; with `applied`, the operation is
      done first.
    - `short_pages`: a query's page ends after so many results (0 is an empty page) with a
      continuation token.
    - `stale`: a point read answers the version before the newest (404 if there was none), as a
      lagging replica may.
    - none of them: the request is delayed; without a delay, it is dropped before it arrives.
    """

    status: int | None = None
    kind: str | None = None
    method: str | None = None
    path: str = ""
    match: Callable[[WireRequest], bool] | None = None
    times: int = 1
    skip: int = 0
    substatus: int | None = None
    retry_after_ms: int | None = None
    delay: float = 0.0
    applied: bool = False
    hang: bool = False
    short_pages: int | None = None
    stale: bool = False

    def matches(self, request: WireRequest) -> bool:
        """Tell whether the fault is meant for this request."""
        return (
            (self.kind is None or self.kind == request.kind)
            and (self.method is None or self.method == request.method)
            and self.path in request.path
            and (self.match is None or self.match(request))
        )

    @property
    def only_changes_answer(self) -> bool:
        """Tell whether the request is answered by the gateway after all."""
        shaped = self.short_pages is not None or self.stale
        return (
            self.status is None
            and not self.applied
            and not self.hang
            and (shaped or self.delay > 0)
        )

    def refusal(self) -> Refusal:
        """Return the error the fault answers with."""
        status = self.status or 500
        substatus = self.substatus
        headers = (
            {} if self.retry_after_ms is None else {"x-ms-retry-after-ms": str(self.retry_after_ms)}
        )
        if status == 429 and substatus is None:  # noqa: PLR2004 - too many requests
            substatus = RATE_TOO_LARGE
        return Refusal(status, f"A fault was asked for: {status}.", substatus, headers)


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0
    hits: int = 0


@dataclass
class Faults:
    """The faults that are set; requests take the first that matches and is not used up."""

    _armed: list[_Armed] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> None:
        """Set a fault."""
        with self._lock:
            self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._armed.clear()

    def hits(self) -> int:
        """Return how many requests were hit so far."""
        with self._lock:
            return sum(armed.hits for armed in self._armed)

    def take(self, request: WireRequest) -> Fault | None:
        """Return the fault that hits this request, and count it."""
        with self._lock:
            for armed in self._armed:
                if armed.hits >= armed.fault.times or not armed.fault.matches(request):
                    continue
                armed.seen += 1
                if armed.seen > armed.fault.skip:
                    armed.hits += 1
                    return armed.fault
        return None
