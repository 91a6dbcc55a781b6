"""Throttling: who has to wait before the next write, because Cosmos DB said so."""

import time

from shared.domain.ids import UserId

USERS_TO_PAUSE_ALL = 3  # throttled within a second: then it is the account that is short
MAX_USERS = 1000  # that are remembered


class Throttle:
    """Remembers the hints of 429s, per user; for the whole worker once several users get one."""

    def __init__(self) -> None:
        self._until: dict[UserId, float] = {}
        self._noted: dict[UserId, float] = {}
        self._all_until = 0.0

    def note(self, user: UserId, seconds: float) -> None:
        """Note that this user's writes may be repeated after these seconds."""
        now = time.monotonic()
        self._until = {one: end for one, end in self._until.items() if end > now}
        self._noted = {one: at for one, at in self._noted.items() if at > now - 1}
        if len(self._until) < MAX_USERS:
            self._until[user] = now + seconds
            self._noted[user] = now
        if len(self._noted) >= USERS_TO_PAUSE_ALL:
            self._all_until = max(self._all_until, now + seconds)

    def seconds(self, user: UserId) -> float:
        """How long this user's next write has to wait; 0 if it need not."""
        return max(0.0, max(self._until.get(user, 0.0), self._all_until) - time.monotonic())
