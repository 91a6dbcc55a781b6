"""The services of a worker, wired to its clients and stores."""

from dataclasses import dataclass
from datetime import timedelta

from shared.bootstrap.clients import Clients
from shared.bootstrap.stores import Stores
from shared.domain.deadlines import Deadlines
from shared.ports.models import TokenCounter
from shared.ports.system import Clock
from shared.services.consolidation import (
    Consolidation,
    ConsolidationSchedule,
    FilteredSummariser,
    FilterProbe,
    QuarantineKeeper,
    RecentSessions,
    Summariser,
    SummaryModel,
)
from shared.services.health import Health
from shared.services.optimistic import OptimisticWriter
from shared.services.preferences import UserPreferences
from shared.services.recall import Recall, VectorBackfill
from shared.services.sessions import SessionData, SessionDeletion, Sessions
from shared.services.turns import (
    Admission,
    Chat,
    ChatParts,
    ContextPreview,
    Leases,
    Retention,
    TurnCommit,
    TurnOpening,
)
from shared.services.usage import SpendingCounter, Usage
from shared.settings import Settings
from shared.settings import Summariser as SummariserKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that routes, timers and the queue function call."""

    chat: Chat
    preview: ContextPreview
    sessions: Sessions
    deletion: SessionDeletion
    session_data: SessionData
    preferences: UserPreferences
    consolidation: Consolidation
    schedule: ConsolidationSchedule
    usage: Usage
    counter: SpendingCounter
    health: Health
    clients: Clients
    deadlines: Deadlines


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFactory:
    """Makes the services on given clients and stores."""

    settings: Settings
    deadlines: Deadlines
    clients: Clients
    stores: Stores
    tokens: TokenCounter
    clock: Clock

    def make(self) -> Services:
        """Make them all."""
        stores, clock, kept = self.stores, self.clock, self.settings.retention
        writer = OptimisticWriter(self.deadlines.write)
        counter = SpendingCounter(stores.spending, clock, self.deadlines.count)
        recent = RecentSessions(
            preferences=stores.preferences,
            sessions=stores.sessions,
            writer=writer,
            clock=clock,
            retention=kept,
        )
        quarantines = self._quarantines(writer)
        recall = Recall(stores.turn_index, self.clients.embeddings, clock, self.deadlines)
        return Services(
            chat=self._chat(recall, writer, counter, quarantines),
            preview=self._preview(recall),
            sessions=Sessions(
                store=stores.sessions,
                turns=stores.turns,
                users=stores.users,
                recent_sessions=recent,
                writer=writer,
            ),
            deletion=SessionDeletion(
                sessions=stores.sessions,
                tombstones=stores.tombstones,
                cache=stores.cache,
                recent_sessions=recent,
                writer=writer,
                clock=clock,
            ),
            session_data=SessionData(
                sessions=stores.sessions,
                store=stores.session_data,
                writer=writer,
                clock=clock,
                retention=kept,
            ),
            preferences=UserPreferences(
                store=stores.preferences,
                users=stores.users,
                writer=writer,
                clock=clock,
                retention=kept,
            ),
            consolidation=self._consolidation(recent, quarantines, writer),
            schedule=ConsolidationSchedule(
                sessions=stores.sessions,
                store=stores.consolidation,
                jobs=self.clients.jobs,
                clock=clock,
                deadlines=self.deadlines,
            ),
            usage=Usage(stores.usage, stores.users, stores.spending, counter, clock),
            counter=counter,
            health=Health(self.clients.owned, self.deadlines.ping),
            clients=self.clients,
            deadlines=self.deadlines,
        )

    def _quarantines(self, writer: OptimisticWriter) -> QuarantineKeeper:
        return QuarantineKeeper(
            preferences=self.stores.preferences,
            turns=self.stores.turns,
            probe=FilterProbe(self.clients.model, self.clock, self.deadlines.probe),
            writer=writer,
            clock=self.clock,
            retention=self.settings.retention,
            seconds=self.deadlines.settle,
        )

    def _chat(
        self,
        recall: Recall,
        writer: OptimisticWriter,
        counter: SpendingCounter,
        quarantines: QuarantineKeeper,
    ) -> Chat:
        stores, deadlines = self.stores, self.deadlines
        leases, admission = Leases(stores.cache), Admission()
        parts = ChatParts(
            admission=admission,
            opening=TurnOpening(
                stores.sessions,
                stores.turns,
                stores.preferences,
                leases,
                admission.work,
                deadlines,
            ),
            commit=TurnCommit(
                stores.sessions, stores.turns, leases, admission.work, writer, deadlines
            ),
            leases=leases,
            recall=recall,
            quarantines=quarantines,
            model=self.clients.model,
            tokens=self.tokens,
            preferences=stores.preferences,
            jobs=self.clients.jobs,
            counter=counter,
            clock=self.clock,
            retention=Retention(
                turns=self.settings.retention,
                unremembered=timedelta(seconds=self.settings.session_ttl_seconds),
                due_after=timedelta(minutes=self.settings.idle_minutes),
            ),
            deadlines=deadlines,
        )
        return Chat(parts)

    def _preview(self, recall: Recall) -> ContextPreview:
        return ContextPreview(
            sessions=self.stores.sessions,
            turns=self.stores.turns,
            preferences=self.stores.preferences,
            users=self.stores.users,
            recall=recall,
            tokens=self.tokens,
            clock=self.clock,
        )

    def _consolidation(
        self, recent: RecentSessions, quarantines: QuarantineKeeper, writer: OptimisticWriter
    ) -> Consolidation:
        settings, clients, stores = self.settings, self.clients, self.stores
        model = None
        if settings.summariser is SummariserKind.MODEL:
            name = settings.summary_model or None
            model = SummaryModel(clients.model, name, self.deadlines.summary)
        summariser = Summariser(model, self.clock, settings.summary_chunk_tokens)
        return Consolidation(
            sessions=stores.sessions,
            turns=stores.turns,
            store=stores.consolidation,
            quarantines=quarantines,
            recent_sessions=recent,
            summariser=FilteredSummariser(summariser, quarantines),
            backfill=VectorBackfill(stores.vectors, clients.embeddings),
            jobs=clients.jobs,
            writer=writer,
            clock=self.clock,
            deadlines=self.deadlines,
        )
