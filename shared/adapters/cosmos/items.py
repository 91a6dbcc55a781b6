"""How domain objects look as Cosmos DB items, and back."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from shared.domain.ids import DataName, Gen, SessionId, TurnId, UserId, digest_of
from shared.domain.messages import Message
from shared.domain.sessions import Header
from shared.domain.summaries import RecentSession, Summary
from shared.domain.turns import TokenUsage, Turn, TurnStatus
from shared.domain.vectors import Vector
from shared.telemetry.meter import Meter

Item = dict[str, Any]

EMPTY_HEADER_TTL = 600  # seconds; the first commit sets the real one
_messages = TypeAdapter(tuple[Message, ...])


def header_id(session: SessionId) -> str:
    """The id of a session's header."""
    return f"s:{digest_of(session.value)}"


def turn_item_id(session: SessionId, gen: Gen, turn_id: TurnId) -> str:
    """The id of a turn: the same for every send of the same turn, another in another incarnation."""
    return f"t:{digest_of(session.value, gen.value, turn_id.value)}"


def data_item_id(session: SessionId, gen: Gen, name: DataName) -> str:
    """The id of a value kept with one incarnation of a session: sweeping an older one cannot meet it."""
    return f"d:{digest_of(session.value, gen.value, name.value)}"


def tombstone_id(gen: Gen) -> str:
    """The id of a deleted session's tombstone."""
    return f"x:{gen.value}"


def write_time(moment: datetime) -> str:
    """RFC 3339 in UTC, always to the microsecond: the text sorts as the time does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_time(text: str) -> datetime:
    """The time of such a text."""
    return datetime.fromisoformat(text)


def ttl_until(expires_at: datetime, now: datetime) -> int:
    """Whole seconds until then, at least one: Cosmos counts them from this write."""
    return max(1, math.ceil((expires_at - now).total_seconds()))


def left_of(header: Header, now: datetime) -> Item:
    """A write starts the time to live anew, so what is left of it is set again, if it has an end."""
    return {"ttl": ttl_until(header.expires_at, now)} if header.expires_at else {}


def empty_header(
    user: UserId, session: SessionId, gen: Gen, epoch: int, agent_id: str | None, now: datetime
) -> Item:
    """The header of a session without turns."""
    return {
        "id": header_id(session),
        "user_id": user.value,
        "kind": "session",
        "session_id": session.value,
        "gen": gen.value,
        "epoch": epoch,
        "turn_count": 0,
        "consolidated_seq": 0,
        "agent_id": agent_id,
        "created_at": write_time(now),
        "last_active_at": write_time(now),
        "ttl": EMPTY_HEADER_TTL,
    }


def header_of(item: Mapping[str, Any], now: datetime) -> Header:
    """The header an item holds, without a summary that has expired."""
    summary = Summary.model_validate(item["summary"]) if item.get("summary") else None
    return Header(
        session_id=SessionId(item["session_id"]),
        gen=Gen(item["gen"]),
        epoch=item["epoch"],
        turn_count=item["turn_count"],
        consolidated_seq=item["consolidated_seq"],
        title=item.get("title"),
        agent_id=item.get("agent_id"),
        strategy=item.get("strategy"),
        summary=summary if summary and summary.expires_at > now else None,
        ttl_seconds=item.get("ttl_seconds"),
        created_at=read_time(item["created_at"]),
        last_active_at=read_time(item["last_active_at"]),
        expires_at=read_time(item["expires_at"]) if "expires_at" in item else None,
        due_at=read_time(item["due_at"]) if item.get("due_at") else None,
        attempts=item.get("attempts", 0),
        dead_lettered=item.get("dead_lettered"),
        vectors_from=item.get("vectors_from"),
        loop_turn=TurnId(item["loop_turn"]) if item.get("loop_turn") else None,
        etag=item["_etag"],
    )


def recent_session_item(one: RecentSession) -> Item:
    """A session's summary as it stands beside the preferences."""
    return {
        "session_id": one.session_id.value,
        "gen": one.gen.value,
        "text": one.text,
        "at": write_time(one.at),
        "expires_at": write_time(one.expires_at),
    }


def recent_session_of(item: Mapping[str, Any]) -> RecentSession:
    """The summary such an entry holds."""
    return RecentSession(
        session_id=SessionId(item["session_id"]),
        gen=Gen(item["gen"]),
        text=item["text"],
        at=read_time(item["at"]),
        expires_at=read_time(item["expires_at"]),
    )


def turn_item(user: UserId, turn: Turn, vector: Vector | None = None) -> Item:
    """The item of a turn; its ttl ends when the turn expires. What is not there has no field."""
    item = {
        "id": turn_item_id(turn.session_id, turn.gen, turn.turn_id),
        "user_id": user.value,
        "kind": "turn",
        "session_id": turn.session_id.value,
        "gen": turn.gen.value,
        "epoch": turn.epoch,
        "turn_id": turn.turn_id.value,
        "seq": turn.seq,
        "saw_seq": turn.saw_seq,
        "body_hash": turn.body_hash,
        "status": turn.status.value,
        "messages": _messages.dump_python(turn.messages, mode="json", exclude_defaults=True),
        "finish_reason": turn.finish_reason,
        "usage": turn.usage.model_dump(),
        "created_at": write_time(turn.created_at),
        "expires_at": write_time(turn.expires_at),
        "ttl": ttl_until(turn.expires_at, turn.created_at),
    }
    if turn.text is not None:
        item["text"] = turn.text
    return item | vector_fields(vector) if vector else item


def vector_fields(vector: Vector) -> Item:
    """What an item has a vector in."""
    return {"embedding": list(vector.numbers), "embedding_model": vector.model}


def measured(item: Item, meter: Meter) -> Item:
    """The item with what it takes: what the request has spent by now, and the bytes of its JSON without this number."""
    spent = {
        "request_units": round(meter.request_units, 2),
        "embedding_tokens": meter.embedding_tokens,
    }
    usage = {**item.get("usage", {}), **spent}
    return item | {"usage": {**usage, "bytes": size_of(item | {"usage": usage})}}


def size_of(item: Item) -> int:
    """Bytes of the item as JSON."""
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())


def turn_of(item: Mapping[str, Any]) -> Turn:
    """The turn an item holds."""
    return Turn(
        session_id=SessionId(item["session_id"]),
        gen=Gen(item["gen"]),
        epoch=item["epoch"],
        turn_id=TurnId(item["turn_id"]),
        seq=item["seq"],
        saw_seq=item["saw_seq"],
        body_hash=item["body_hash"],
        status=TurnStatus(item["status"]),
        messages=_messages.validate_python(item["messages"]),
        finish_reason=item.get("finish_reason"),
        usage=TokenUsage(**{n: item["usage"].get(n, 0) for n in TokenUsage.model_fields}),
        text=item.get("text"),
        created_at=read_time(item["created_at"]),
        expires_at=read_time(item["expires_at"]),
    )


def set_fields(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Patch operations that set these top-level fields; at most ten fit one patch."""
    return [{"op": "set", "path": f"/{name}", "value": value} for name, value in fields.items()]
