"""Cosmos DB items: conversion from and to domain objects."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from shared.adapters.cosmos.times import read_time, ttl_until, write_time
from shared.domain.ids import DataName, Gen, SessionId, TurnId, UserId, digest_of
from shared.domain.messages import Message
from shared.domain.quarantine import Quarantine
from shared.domain.sessions import Header
from shared.domain.summaries import RecentSession, Summary
from shared.domain.turns import TokenUsage, Turn, TurnStatus
from shared.domain.vectors import Vector

Item = dict[str, Any]

EMPTY_HEADER_TTL = 600  # seconds; the first commit extends it
_messages = TypeAdapter(tuple[Message, ...])


def header_id(session: SessionId) -> str:
    """The id of a session's header."""
    return f"s:{digest_of(session.value)}"


def turn_item_id(session: SessionId, gen: Gen, turn_id: TurnId) -> str:
    """The id of a turn: the same for every resend, a different one in another incarnation."""
    return f"t:{digest_of(session.value, gen.value, turn_id.value)}"


def data_item_id(session: SessionId, gen: Gen, name: DataName) -> str:
    """The id of an item of session data.

    Contains the generation, so that sweeping an older one cannot delete it.
    """
    return f"d:{digest_of(session.value, gen.value, name.value)}"


def tombstone_id(gen: Gen) -> str:
    """The id of a deleted session's tombstone."""
    return f"x:{gen.value}"


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
    """Read a header; an expired summary is left out."""
    summary = Summary.model_validate(item["summary"]) if item.get("summary") else None
    return Header(
        session_id=SessionId(item["session_id"]),
        gen=Gen(item["gen"]),
        epoch=item["epoch"],
        turn_count=item["turn_count"],
        consolidated_seq=item["consolidated_seq"],
        title=item.get("title"),
        agent_id=item.get("agent_id"),
        summary=summary if summary and summary.expires_at > now else None,
        ttl_seconds=item.get("ttl_seconds"),
        created_at=read_time(item["created_at"]),
        last_active_at=read_time(item["last_active_at"]),
        expires_at=read_time(item["expires_at"]) if "expires_at" in item else None,
        committed_at=read_time(item["committed_at"]) if "committed_at" in item else None,
        due_at=read_time(item["due_at"]) if item.get("due_at") else None,
        attempts=item.get("attempts", 0),
        dead_lettered=item.get("dead_lettered"),
        vectors_from=item.get("vectors_from"),
        loop_turn=TurnId(item["loop_turn"]) if item.get("loop_turn") else None,
        has_data="touched_at" in item,
        etag=item["_etag"],
    )


def recent_session_item(one: RecentSession) -> Item:
    """Write a recent session, which is stored with the preferences."""
    return {
        "session_id": one.session_id.value,
        "gen": one.gen.value,
        "text": one.text,
        "at": write_time(one.at),
        "expires_at": write_time(one.expires_at),
    }


def recent_session_of(item: Mapping[str, Any]) -> RecentSession:
    """Read a recent session."""
    return RecentSession(
        session_id=SessionId(item["session_id"]),
        gen=Gen(item["gen"]),
        text=item["text"],
        at=read_time(item["at"]),
        expires_at=read_time(item["expires_at"]),
    )


def quarantine_item(quarantine: Quarantine) -> Item:
    """Write the quarantine, which is stored with the preferences."""
    return {
        "suspects": [list(source) for source in quarantine.suspects],
        "culprits": [list(source) for source in quarantine.culprits],
    }


def quarantine_of(item: Mapping[str, Any]) -> Quarantine:
    """Read the quarantine."""
    return Quarantine(
        suspects=tuple(map(tuple, item.get("suspects", ()))),
        culprits=tuple(map(tuple, item.get("culprits", ()))),
    )


def turn_item(user: UserId, turn: Turn, vector: Vector | None = None) -> Item:
    """Write a turn with its vector, if it has one; absent values have no field."""
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
        "attempt": turn.attempt,
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
    """The fields that hold a vector."""
    return {"embedding": list(vector.numbers), "embedding_model": vector.model}


def with_size(item: Item) -> Item:
    """Add the item's size: bytes of JSON, not counting the size itself."""
    return item | {"usage": item.get("usage", {}) | {"bytes": size_of({"usage": {}} | item)}}


def size_of(item: Item) -> int:
    """The item's size in bytes of JSON."""
    return len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode())


def turn_of(item: Mapping[str, Any]) -> Turn:
    """Read a turn."""
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
        attempt=item.get("attempt", ""),
    )


def set_fields(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Patch operations that set these top-level fields; a patch may have at most ten."""
    return [{"op": "set", "path": f"/{name}", "value": value} for name, value in fields.items()]
