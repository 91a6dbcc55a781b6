"""What the services need of the outside, as small Protocols; shared/adapters has one file per port and technology."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self

from pydantic import JsonValue

from shared.domain.ids import DataName, Gen, SessionId, TurnId, UserId
from shared.domain.preferences import Preferences
from shared.domain.summaries import LastTime, Summary
from shared.domain.turns import Header, Message, TokenUsage, ToolCall, Turn


class Clock(Protocol):
    """The time, as the app tells it. Order never depends on it; expiry and display do."""

    def now(self) -> datetime:
        """The current time in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class Committed:
    """The batch is in: the turn has its seq."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """A turn of this id was committed before."""


@dataclass(frozen=True, slots=True)
class HeaderMoved:
    """The header no longer has the gen and count the batch was made for, or is gone."""


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """No answer came; the batch may or may not be in."""


CommitOutcome = Committed | AlreadyThere | HeaderMoved | OutcomeUnknown


class TokenCount(Protocol):
    """Counts the tokens of the model's encoding."""

    def count(self, text: str) -> int:
        """How many tokens the text is, as exactly as is known without waiting."""
        ...


@dataclass(frozen=True, slots=True)
class Grave:
    """What is left of a deleted session until it was swept once more."""

    user: UserId
    session: SessionId
    gen: Gen


@dataclass(frozen=True, slots=True)
class HeaderCursor:
    """A place in the list of sessions, newest first."""

    last_active_at: datetime
    session: SessionId

    @classmethod
    def at(cls, text: str, session: SessionId) -> Self:
        """The place that RFC 3339 text and a session say.

        Raises:
            ValueError: the text is not a time with a zone.
        """
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("a time without a zone")
        try:
            return cls(moment.astimezone(UTC), session)
        except OverflowError as beyond:
            raise ValueError("a time beyond the calendar") from beyond


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """What a caller may change on a header; None clears a field."""

    title: str | None
    strategy: str | None
    ttl_seconds: int | None


class SessionStore(Protocol):
    """Headers of sessions. Every read is strongly consistent within the user's partition."""

    async def read_header(self, user: UserId, session: SessionId) -> Header | None:
        """The header, or None; expired headers are not there."""
        ...

    async def open_session(self, user: UserId, session: SessionId, agent_id: str | None, now: datetime) -> None:
        """Make an empty header unless there is one. Twice is harmless: the second create is refused by its id."""
        ...

    async def list_headers(self, user: UserId, after: HeaderCursor | None, limit: int) -> Sequence[Header]:
        """Sessions with at least one turn, newest first, of the user's current epoch."""
        ...

    async def change_header(self, user: UserId, header: Header, change: HeaderChange) -> Header | None:
        """Set the changeable fields if the header is still at this etag; None when it is not.

        Twice is harmless: the same values are set again.
        """
        ...

    async def shorten(self, user: UserId, header: Header, expires_at: datetime) -> None:
        """Let everything of the session that lives longer end then, the header last.

        Twice is harmless: nothing lives longer the second time.
        """
        ...


class SessionGraves(Protocol):
    """Deleted sessions on their way out."""

    async def bury(self, user: UserId, header: Header, due_at: datetime) -> CommitOutcome:
        """Delete the header and leave a grave, in one batch, unless the header was written meanwhile.

        Twice is harmless: the header is deleted once, the second batch finds none.
        """
        ...

    async def sweep(self, user: UserId, gen: Gen) -> None:
        """Delete every document of the gen until a query finds none. Twice is harmless: it finds none."""
        ...

    async def list_graves(self, user: UserId, session: SessionId) -> Sequence[Grave]:
        """The graves of one session."""
        ...

    async def find_due(self, now: datetime) -> Sequence[Grave]:
        """Graves of all users that are due, at most 1,000 at a time: one of the two reads that cross partitions."""
        ...

    async def close(self, grave: Grave) -> None:
        """Delete the grave. Twice is harmless: it is gone."""
        ...


class TranscriptStore(Protocol):
    """Turns, each stored once."""

    async def commit_turn(
        self, user: UserId, turn: Turn, expires_at: datetime, due_at: datetime | None
    ) -> CommitOutcome:
        """Create the turn and move the header from seq - 1 to seq, in one batch, if its gen and count still fit.

        The header lives until `expires_at`, which is no earlier than the turn's.

        Twice is harmless: the second create is refused by its id. Never raises for a lost answer.
        """
        ...

    async def read_turn(self, user: UserId, session: SessionId, gen: Gen, turn_id: TurnId) -> Turn | None:
        """One turn by its id."""
        ...

    async def read_tail(self, user: UserId, header: Header) -> Sequence[Turn]:
        """The newest turns up to the header's count, oldest first: at most 20 or about 64 KB."""
        ...

    async def list_turns(
        self, user: UserId, session: SessionId, gen: Gen, after_seq: int, limit: int
    ) -> Sequence[Turn]:
        """Turns with a greater seq, in order."""
        ...


@dataclass(frozen=True, slots=True)
class ConsolidationJob:
    """A session to consolidate."""

    user: UserId
    session: SessionId


@dataclass(frozen=True, slots=True)
class DueSession:
    """A session that is due since then."""

    job: ConsolidationJob
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ParkedSession:
    """A session that could not be consolidated, and why."""

    job: ConsolidationJob
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A consolidation that failed: when to try again, or never (None), after how many in a row, and why."""

    due_at: datetime | None
    attempts: int
    reason: str


class SummaryStore(Protocol):
    """Summaries on the headers of sessions, and which sessions want one."""

    def find_due(self, now: datetime) -> AsyncIterator[Sequence[DueSession]]:
        """Sessions of all users that are due, page by page: one of the reads that cross partitions."""
        ...

    def find_parked(self) -> AsyncIterator[Sequence[ParkedSession]]:
        """Sessions of all users that are parked, page by page: it crosses partitions too."""
        ...

    async def keep(self, user: UserId, header: Header, summary: Summary | None, upto: int) -> bool:
        """Say that the session is consolidated up to this seq, if the header is still at its etag; else False.

        It is due no longer when that is all of it. Twice is harmless: the second time the etag is another.
        """
        ...

    async def postpone(self, user: UserId, header: Header, failure: Failure | None) -> bool:
        """Say that consolidating failed, or (None) that it may be tried anew at once; False as `keep`.

        Twice is harmless, as `keep`.
        """
        ...

    async def rest(self, user: UserId, header: Header) -> bool:
        """Say that the session is not due; False as `keep`. Twice is harmless, as `keep`."""
        ...


class QueueUnavailable(Exception):
    """The queue does not answer; what is due is found by the timer."""


class JobQueue(Protocol):
    """Sessions on their way to whoever consolidates them. A job may come twice, late, or out of order."""

    async def put(self, job: ConsolidationJob) -> None:
        """Ask for a session to be consolidated. Twice is harmless: the second finds nothing to do.

        Raises:
            QueueUnavailable: from every method, when the queue does not answer in time.
        """
        ...

    async def length(self) -> int:
        """About how many jobs wait."""
        ...

    async def count_poison(self) -> int:
        """About how many jobs failed for good."""
        ...

    async def revive(self) -> int:
        """Put jobs that failed for good back into the queue; how many it was. Twice is harmless: there are none."""
        ...


@dataclass(frozen=True, slots=True)
class SessionValue:
    """A JSON value kept with a session until it expires."""

    name: DataName
    value: JsonValue
    updated_at: datetime
    expires_at: datetime


class SessionValues(Protocol):
    """Values kept with a session: its data, and results of tools."""

    async def read_value(self, user: UserId, header: Header, name: DataName) -> SessionValue | None:
        """The value, if it belongs to this incarnation of the session and has not expired."""
        ...

    async def write_value(self, user: UserId, header: Header, value: SessionValue) -> bool:
        """Set the value while the session is the same one; False when it is not. Twice is harmless: it is set again."""
        ...

    async def delete_value(self, user: UserId, header: Header, name: DataName) -> None:
        """Delete the value. Twice is harmless."""
        ...


class CacheUnavailable(Exception):
    """The session cache does not answer; the turn goes on without it."""


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """Who asks to work on which turn, and for how long at most."""

    turn_id: TurnId
    owner: str
    body_hash: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CachedSession:
    """What the cache holds of a session: its gen, the count it is good for, turns in order; without a gen, nothing."""

    gen: Gen | None
    count: int
    turns: Sequence[Turn]


@dataclass(frozen=True, slots=True)
class LeaseHeld:
    """Another request works on this turn, for so many seconds at most."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LeaseConflict:
    """Another request works on this turn id with another body."""


OpenedTurn = CachedSession | LeaseHeld | LeaseConflict


class SessionCache(Protocol):
    """The running session, one round trip away. It may be stale, empty or away; it only saves time."""

    async def open_turn(self, user: UserId, session: SessionId, request: LeaseRequest) -> OpenedTurn:
        """Take the lease of a turn and read the session. Twice is harmless: it is the same owner's lease.

        Raises:
            CacheUnavailable: from every method, when the cache does not answer in time.
        """
        ...

    async def close_turn(self, user: UserId, turn: Turn, owner: str, window: Sequence[Turn] | None) -> None:
        """Add a committed turn, or replace all by window and turn, and drop the lease.

        Twice is harmless: what is there, or ahead, stays. A session that was forgotten is not brought back.
        """
        ...

    async def release(self, user: UserId, session: SessionId, turn_id: TurnId, owner: str) -> None:
        """End the owner's lease. Twice is harmless."""
        ...

    async def forget(self, user: UserId, session: SessionId) -> None:
        """Drop everything of the session. Twice is harmless."""
        ...


@dataclass(frozen=True, slots=True)
class StoredPreferences:
    """Preferences with the epoch they were set in and the version that guards the next write.

    Beside them, so that a turn need not read more, the newest sessions' summaries.
    """

    preferences: Preferences
    epoch: int
    version: str | None
    expires_at: datetime | None
    last_times: Sequence[LastTime] = ()


class PreferenceStore(Protocol):
    """One object per user."""

    async def read(self, user: UserId) -> StoredPreferences:
        """The user's preferences; of a new user the empty ones, without a version."""
        ...

    async def write(self, user: UserId, preferences: StoredPreferences) -> bool:
        """Write them if what is stored still has their version; False when it has not.

        Twice is harmless: the second write finds another version and is refused.
        """
        ...

    async def renew(self, user: UserId, expires_at: datetime) -> None:
        """Move their expiry, if they are there. Twice is harmless: the same time is set again."""
        ...

    async def delete(self, user: UserId, version: str) -> bool:
        """Delete this version; False when another is stored. Twice is harmless: it is gone."""
        ...


class UserStore(Protocol):
    """The user's own document: the epoch that fences what was made before an erase."""

    async def read_epoch(self, user: UserId) -> int:
        """The user's epoch; 0 of a user who has none yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What is kept of a user: how many of each, their bytes, and what making them took."""

    sessions: int
    turns: int
    values: int
    bytes: int
    prompt_tokens: int
    completion_tokens: int
    request_units: float


class UsageStore(Protocol):
    """Adds up what is kept of a user; nothing is counted beside it, so nothing can go out of step."""

    async def add_up(self, user: UserId, epoch: int, since: datetime) -> Used:
        """Sessions active, turns stored and values set since then, none from before the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of the model. `model` None is the default one; the seconds bound the first token and the whole reply.

    With a JSON schema the reply is asked to fit it; whether it does is for the caller to see.
    """

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, JsonValue]]
    model: str | None
    first_token_seconds: float
    seconds: float
    schema: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What the model said, or which tools it wants called."""

    text: str
    finish_reason: str
    tool_calls: tuple[ToolCall, ...] = ()
    usage: TokenUsage = TokenUsage()  # noqa: RUF009 - frozen


class ChatModel(Protocol):
    """A chat model behind any OpenAI-compatible address.

    Both ways raise ContentFiltered when the provider refuses the prompt or the completion, and ModelUnavailable when
    there is no usable answer in time.
    """

    async def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply, whole."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[str | ChatReply, None]:
        """The reply's text piece by piece as the model writes it, and at last the whole reply."""
        ...


class Pingable(Protocol):
    """A dependency that can say whether it is there."""

    name: str

    async def ping(self) -> None:
        """Return when the dependency answers; raise anything when it does not."""
        ...
