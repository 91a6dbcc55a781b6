"""Names of spans, metrics and their attributes.

`gen_ai.*` follows the OpenTelemetry GenAI conventions, which moved from semantic-conventions 1.44
to open-telemetry/semantic-conventions-genai (status Development, not released). `http.*`, `db.*`
and `error.type` follow the stable conventions of 1.44. No convention covers appending a turn:
`append_turn` and `agent_memory.*` are our own.

Attributes that hold content (`gen_ai.input.messages`, `gen_ai.output.messages`,
`gen_ai.system_instructions`, `gen_ai.memory.query.text`) or ids (`gen_ai.conversation.id`,
`user.id`) are left out on purpose.
"""

SCOPE = "keepsake"

CHAT = "chat"
EMBEDDINGS = "embeddings"
SEARCH_MEMORY = "search_memory"
UPSERT_MEMORY = "upsert_memory"
DELETE_MEMORY = "delete_memory"
APPEND_TURN = "append_turn"

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
RECORD_COUNT = "gen_ai.memory.record.count"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - the kind of a language model's token
SERVER_ADDRESS = "server.address"
ERROR_TYPE = "error.type"
HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
DB_SYSTEM = "db.system.name"
DB_OPERATION = "db.operation.name"
DB_COLLECTION = "db.collection.name"
DB_PROCEDURE = "db.stored_procedure.name"
DB_STATUS = "db.response.status_code"
TURN_START = "agent_memory.turn.start"
TURN_STATUS = "agent_memory.turn.status"
DEGRADED_REASON = "agent_memory.degraded.reason"

OPERATION_DURATION = "gen_ai.client.operation.duration"
TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105 - as above
RETRIEVAL_DURATION = "agent_memory.retrieval.duration"
RELEVANCE = "agent_memory.recall.relevance"
TURNS_APPENDED = "agent_memory.turns.appended"
TURNS_REPLAYED = "agent_memory.turns.replayed"
TURNS_INTERRUPTED = "agent_memory.turns.interrupted"
TURNS_DEGRADED = "agent_memory.turns.degraded"
TURNS_SUMMARISED = "agent_memory.turns.summarised"
SESSIONS_DEAD_LETTERED = "agent_memory.sessions.dead_lettered"
EXTRACTIVE = "agent_memory.summary.extractive"
DEAD_LETTER_REASON = "agent_memory.dead_lettered.reason"
STORE_CONFLICTS = "agent_memory.store.conflicts"
REQUEST_CHARGE = "agent_memory.cosmos.request_charge"
REDIS_UNAVAILABLE = "agent_memory.redis.unavailable"

DURATION_BUCKETS = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
RETRIEVAL_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
RELEVANCE_BUCKETS = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9)
TOKEN_BUCKETS = (
    1,
    4,
    16,
    64,
    256,
    1024,
    4096,
    16_384,
    65_536,
    262_144,
    1_048_576,
    4_194_304,
    16_777_216,
    67_108_864,
)
