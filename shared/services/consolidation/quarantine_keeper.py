"""The user's quarantine: turns suspect texts, and consolidation finds out which are refused."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from shared.domain.errors import InvalidRequest, ModelUnavailable
from shared.domain.ids import Gen, SessionId, UserId
from shared.domain.preferences import Preferences
from shared.domain.quarantine import TURN, Quarantine, Source, preference_source, summary_source
from shared.domain.sessions import Header
from shared.ports.preferences import PreferenceStore, StoredPreferences
from shared.ports.system import Clock
from shared.ports.turns import TurnStore
from shared.services.consolidation.bisection import Bisection
from shared.services.consolidation.filter_probe import FilterProbe
from shared.services.optimistic import OptimisticWriter
from shared.telemetry import digest, log_event, log_failure

MAX_PROBES = 6  # calls of the model in one run: they find one culprit among 32 texts
MAX_PROBED_CHARS = 200_000  # in one run; about 50,000 tokens, which every chat model takes


@dataclass(frozen=True, slots=True)
class Settlement:
    """What is stored after a run; `is_stuck` if suspects remain and nothing was found out."""

    stored: StoredPreferences
    is_stuck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineKeeper:
    """Keeps the quarantine in the document of the preferences, which every turn reads.

    Every write is conditional on the document's version. `seconds` bound the search of one run.
    """

    preferences: PreferenceStore
    turns: TurnStore
    probe: FilterProbe
    writer: OptimisticWriter
    clock: Clock
    retention: timedelta
    seconds: float

    async def suspect(self, user: UserId, epoch: int, sources: Iterable[Source]) -> None:
        """Leave these texts out of prompts until they are tested. Idempotent: a set of texts.

        Raises:
            Busy, StoreUnavailable: they are not left out yet.
        """
        await self._change(user, epoch, lambda current: current.suspect(sources))

    async def settle(self, user: UserId, header: Header, model: str | None = None) -> Settlement:
        """Find out which suspects this model's provider refuses, in at most six calls.

        Suspects that no longer exist are released, those that were not reached stay suspects. If
        the model cannot be asked, all stay.

        Raises:
            Busy, StoreUnavailable: nothing was settled.
        """
        stored = await self.preferences.read(user)
        if not stored.quarantine.suspects or stored.epoch != header.epoch:
            return Settlement(stored)
        texts, gone = await self._texts(user, header, stored)

        async def accepts(sources: Sequence[Source]) -> bool:
            return await self.probe.accepts([texts[source] for source in sources], model)

        search = Bisection(accepts, MAX_PROBES)
        try:
            async with asyncio.timeout(self.seconds):
                await search.search(list(texts))
        except (ModelUnavailable, InvalidRequest, TimeoutError) as failed:
            log_failure("quarantine_not_settled", failed, subject=digest(user.value))
        tested, culprits = {*gone, *search.tested}, search.culprits
        if culprits:
            log_event("text_quarantined", texts=len(culprits), subject=digest(user.value))
        settled = await self._change(
            user, header.epoch, lambda current: current.settle(tested, culprits)
        )
        return Settlement(
            replace(stored, quarantine=settled), is_stuck=bool(settled.suspects and not tested)
        )

    async def _change(
        self, user: UserId, epoch: int, change: Callable[[Quarantine], Quarantine]
    ) -> Quarantine:
        async def attempt() -> Quarantine | None:
            stored = await self.preferences.read(user)
            if stored.epoch > epoch:
                return stored.quarantine  # the session is from before an erase
            if stored.epoch < epoch:
                stored = StoredPreferences(Preferences(), epoch, stored.version, None)
            quarantine = change(stored.quarantine)
            if quarantine == stored.quarantine:
                return quarantine
            expires_at = stored.expires_at or self.clock.now() + self.retention
            changed = replace(stored, quarantine=quarantine, expires_at=expires_at)
            return quarantine if await self.preferences.write(user, changed) else None

        return await self.writer.write(("preferences", user), attempt)

    async def _texts(
        self, user: UserId, header: Header, stored: StoredPreferences
    ) -> tuple[Mapping[Source, str], Sequence[Source]]:
        """The suspects' texts, as many as one run can test, and suspects that no longer exist."""
        known, size = _known_texts(header, stored), 0
        texts: dict[Source, str] = {}
        gone: list[Source] = []
        for source in stored.quarantine.suspects:
            text = await self._turn_text(user, source) if source[0] == TURN else known.get(source)
            if text is None:
                gone.append(source)
                continue
            size += len(text)
            if texts and size > MAX_PROBED_CHARS:
                break
            texts[source] = text
        return texts, gone

    async def _turn_text(self, user: UserId, source: Source) -> str | None:
        """Everything of the turn that a prompt may include."""
        _, session, gen, seq = source
        turns = await self.turns.list_turns(
            user, SessionId(session), Gen(gen), after_seq=int(seq) - 1, limit=1
        )
        if not turns or turns[0].seq != int(seq):
            return None
        texts = [text for message in turns[0].messages for text in message.texts if text]
        return "\n".join(texts)[:MAX_PROBED_CHARS]


def _known_texts(header: Header, stored: StoredPreferences) -> dict[Source, str]:
    summaries = [session.text for session in stored.recent_sessions]
    if header.summary:
        summaries.append(header.summary.text)
    preferences = stored.preferences.preferences.items()
    return {summary_source(text): text for text in summaries} | {
        preference_source(key, value): json.dumps({key: value}, ensure_ascii=False)
        for key, value in preferences
    }
