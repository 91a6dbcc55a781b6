"""Whether this instance can do its work."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared.ports.system import Pingable

CACHE_SECONDS = 5.0  # many probes cost one round of pings


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency: its name, whether it answered, and in how many milliseconds."""

    name: str
    ok: bool
    ms: float


class Health:
    """Pings every dependency at once, and remembers the answers for five seconds."""

    def __init__(self, dependencies: Sequence[Pingable], seconds: float) -> None:
        """Ping these dependencies; each has `seconds` to answer."""
        self._dependencies = dependencies
        self._seconds = seconds
        self._checks: Sequence[Check] = ()
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def check(self) -> Sequence[Check]:
        """The state of every dependency, at most five seconds old."""
        async with self._lock:
            if time.monotonic() - self._asked_at > CACHE_SECONDS:
                pings = (self._ping(dependency) for dependency in self._dependencies)
                self._checks = await asyncio.gather(*pings)
                self._asked_at = time.monotonic()
            return self._checks

    async def _ping(self, dependency: Pingable) -> Check:
        start = time.perf_counter()
        try:
            async with asyncio.timeout(self._seconds):
                await dependency.ping()
            ok = True
        except Exception:  # noqa: BLE001 - whatever it raises, it did not answer
            ok = False
        return Check(dependency.name, ok, round((time.perf_counter() - start) * 1000, 1))
