"""All SQL that is sent to Cosmos DB.

Queries stay within one user's partition, except for those named ACROSS_USERS.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.adapters.cosmos.times import write_time
from shared.domain.ids import Gen
from shared.domain.recall.excerpts import MAX_EXPANDED_HITS
from shared.domain.recall.keywords import MAX_KEYWORDS
from shared.domain.recall.ranking import MAX_FOUND

TURN = """
c.session_id, c.gen, c.epoch, c.turn_id, c.seq, c.saw_seq, c.body_hash, c.attempt, c.status,
c.messages, c.finish_reason, c.usage, c.text, c.created_at, c.expires_at
"""  # not c.embedding: it is as long as ten messages, and nothing reads it

LIST_SESSIONS = """
SELECT TOP @limit * FROM c
WHERE c.user_id = @user_id AND c.kind = 'session'
  AND (c.turn_count > 0 OR IS_DEFINED(c.touched_at))
ORDER BY c.last_active_at DESC, c.id DESC
"""

LIST_SESSIONS_AFTER = """
SELECT TOP @limit * FROM c
WHERE c.user_id = @user_id AND c.kind = 'session'
  AND (c.turn_count > 0 OR IS_DEFINED(c.touched_at))
  AND (c.last_active_at < @last_active_at OR (c.last_active_at = @last_active_at AND c.id < @id))
ORDER BY c.last_active_at DESC, c.id DESC
"""

# Between two seqs, because a query that only ends at a limit may read all turns of the session.
LIST_TURNS = f"""
SELECT TOP @limit {TURN} FROM c
WHERE c.user_id = @user_id AND c.kind = 'turn' AND c.session_id = @session_id AND c.gen = @gen
  AND c.seq > @after AND c.seq <= @upto
ORDER BY c.seq ASC
"""

LIST_NEWEST_TURNS = f"""
SELECT TOP @limit {TURN} FROM c
WHERE c.user_id = @user_id AND c.kind = 'turn' AND c.session_id = @session_id AND c.gen = @gen
  AND c.seq > @after AND c.seq <= @upto
ORDER BY c.seq DESC
"""

LIST_DATA = """
SELECT TOP @limit c.name, c.updated_at, c.expires_at, c.usage.bytes AS bytes FROM c
WHERE c.user_id = @user_id AND c.kind = 'data' AND c.session_id = @session_id AND c.gen = @gen
  AND c.name > @after
ORDER BY c.name ASC
"""

_FOUND = """
c.session_id, c.gen, c.epoch, c.turn_id, c.seq, LEFT(c.text, @chars) AS text, c.created_at,
c.expires_at, c.embedding_model
"""


def _find_by_keywords(count: int) -> str:
    """The query for this many keywords.

    A ranked query accepts neither an array of keywords nor a parameter after TOP.
    """
    words = ", ".join(f"@word{number}" for number in range(count))
    return f"""
SELECT TOP {MAX_FOUND} {_FOUND} FROM c
WHERE c.user_id = @user_id AND c.kind = 'turn' AND FullTextContainsAny(c.text, {words})
ORDER BY RANK FullTextScore(c.text, {words})
"""


FIND_BY_KEYWORDS = {count: _find_by_keywords(count) for count in range(1, MAX_KEYWORDS + 1)}

FIND_BY_MEANING = f"""
SELECT TOP {MAX_FOUND} {_FOUND}, VectorDistance(c.embedding, @vector) AS similarity FROM c
WHERE c.user_id = @user_id AND c.kind = 'turn' AND c.embedding_model = @model
ORDER BY VectorDistance(c.embedding, @vector)
"""

_NEIGHBOURS = " OR ".join(
    f"(c.gen = @gen{place} AND c.seq >= @from{place} AND c.seq <= @upto{place})"
    for place in range(MAX_EXPANDED_HITS)
)
READ_AROUND = f"""
SELECT {_FOUND} FROM c
WHERE c.user_id = @user_id AND c.kind = 'turn' AND IS_DEFINED(c.text) AND ({_NEIGHBOURS})
"""

LIST_UNEMBEDDED = """
SELECT TOP @limit c.turn_id, c.text, c.expires_at, c.usage.bytes AS bytes, c.embedding_model FROM c
WHERE c.user_id = @user_id AND c.kind = 'turn' AND c.session_id = @session_id AND c.gen = @gen
  AND c.seq > @after AND IS_DEFINED(c.text)
  AND (NOT IS_DEFINED(c.embedding_model) OR c.embedding_model != @model)
"""

LIST_OF_GEN = """
SELECT TOP 100 c.id FROM c
WHERE c.user_id = @user_id AND c.gen = @gen AND c.kind IN ('turn', 'data', 'memory')
"""

LIST_LONGER_LIVED = """
SELECT TOP 100 c.id FROM c
WHERE c.user_id = @user_id AND c.gen = @gen AND c.kind IN ('turn', 'data')
  AND c.expires_at > @expires_at
"""

LIST_TOMBSTONES = """
SELECT c.session_id, c.gen FROM c
WHERE c.user_id = @user_id AND c.kind = 'tombstone' AND c.session_id = @session_id
"""

SUM_STORED = """
SELECT SUM(IIF(c.kind = 'session', 1, 0)) AS sessions,
  SUM(IIF(c.kind = 'turn', 1, 0)) AS turns,
  SUM(IIF(c.kind = 'data', 1, 0)) AS session_data,
  SUM(c.usage.bytes ?? 0) AS bytes
FROM c
WHERE c.user_id = @user_id AND c.epoch >= @epoch
  AND (c.kind = 'turn' OR c.kind = 'data' OR (c.kind = 'session' AND c.turn_count > 0))
"""

FIND_DUE_TOMBSTONES_ACROSS_USERS = """
SELECT c.user_id, c.session_id, c.gen FROM c WHERE c.kind = 'tombstone' AND c.due_at <= @now
"""

FIND_DUE_SESSIONS_ACROSS_USERS = """
SELECT c.user_id, c.session_id, c.due_at FROM c WHERE c.kind = 'session' AND c.due_at <= @now
"""

FIND_DEAD_LETTERED_SESSIONS_ACROSS_USERS = """
SELECT c.user_id, c.session_id, c.dead_lettered FROM c
WHERE c.kind = 'session' AND IS_STRING(c.dead_lettered)
"""


def unchanged_header(gen: Gen, turn_count: int) -> str:
    """The condition of a commit: no other turn was committed since.

    Patch conditions take no parameters; the types of both values rule out injection.
    """
    return f"from c where c.gen = '{gen.value}' and c.turn_count = {int(turn_count)}"


def same_incarnation(gen: Gen) -> str:
    """The condition of a write of session data: the session is still the same one."""
    return f"from c where c.gen = '{gen.value}'"


def unchanged_epoch(epoch: int) -> str:
    """The condition of a new session: the user was not erased since the epoch was read."""
    return f"from c where c.epoch = {int(epoch)}"


def unchanged_expiry(expires_at: datetime) -> str:
    """The condition of a write that resets the time to live: the expiry has not changed."""
    return f"from c where c.expires_at = '{write_time(expires_at)}'"


def on_one_line(sql: str) -> str:
    """The query without line breaks and indentation, as it is sent."""
    return re.sub(r"\s+", " ", sql).strip()


def to_parameters(parameters: Mapping[str, Any]) -> list[dict[str, object]]:
    """Query parameters in the SDK's format."""
    return [{"name": name, "value": value} for name, value in parameters.items()]
