"""What people say, and who they are, is in no log, span, metric, nor in an answer to anybody else (F36)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from cosmos_local import Fault, LocalCosmos
from local.model import Behaviour
from shared.settings import AuthMode
from tests.support.app import BEN, Keepsake, running
from tests.support.model_server import ModelServer
from tests.support.redis_server import RedisServer
from tests.support.telemetry import capturing

pytestmark = pytest.mark.anyio

MARK = "canary"  # stands in every text below, and in no name of ours
BODIES: dict[str, Any] = {
    "chat": {
        "message": "canary-message",
        "session_id": "canary-session",
        "instructions": "canary-instructions",
        "agent_id": "canary-agent",
        "metadata": {"canary-key": "canary-metadata"},
    },
    "pack_context": {"message": "canary-message", "session_id": "canary-session"},
    "put_turn": {
        "messages": [
            {"role": "user", "content": "canary-said"},
            {"role": "assistant", "content": "canary-reply"},
        ]
    },
    "update_session": {"title": "canary-title"},
    "put_data": {"value": {"canary-field": "canary-value"}},
    "replace_preferences": {"preferences": {"canary-preference": "canary-wish"}},
    "update_preferences": {"preferences": {"canary-preference": "canary-wish"}},
}
HEADERS = {
    "x-user-id": "canary-user",
    "authorization": "Bearer canary-token",
    "x-functions-key": "canary-function-key",
    "x-anything": "canary-header",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "who=canary",
    "baggage": "who=canary",
}
Break = Callable[[LocalCosmos, ModelServer, RedisServer], None]
HTML = "<html><body>canary-page</body></html>"
FAULTS: dict[str, Break] = {
    "nothing": lambda _cosmos, _model, _redis: None,
    "cosmos_away": lambda cosmos, _model, _redis: cosmos.faults.add(
        Fault(status=503, times=10_000)
    ),
    "commit_fails": lambda cosmos, _model, _redis: cosmos.faults.add(
        Fault(status=500, kind="batch", times=10_000)
    ),
    "model_fails": lambda _cosmos, model, _redis: _script(
        model, Behaviour(status=500, body='{"error": "canary-error"}')
    ),
    "model_refuses": lambda _cosmos, model, _redis: _script(
        model, Behaviour(status=400, body='{"error": "canary"}')
    ),
    "model_is_a_page": lambda _cosmos, model, _redis: _script(
        model, Behaviour(body=HTML, headers={"content-type": "text/html"})
    ),
    "model_breaks_off": lambda _cosmos, model, _redis: _script(
        model, Behaviour(text="canary one", breaks_off_after=1)
    ),
    "embedder_fails": lambda _cosmos, model, _redis: _script_vectors(
        model, Behaviour(status=400, body='{"error": "canary-error"}')
    ),
    "embedder_is_a_page": lambda _cosmos, model, _redis: _script_vectors(
        model, Behaviour(body=HTML, headers={"content-type": "text/html"})
    ),
    "redis_away": lambda _cosmos, _model, redis: redis.stop(),
}


@pytest.fixture
def session_cache(redis: RedisServer) -> dict[str, Any]:
    """With a session cache, which one of the faults takes away."""
    return {"redis_socket": str(redis.socket)}


@pytest.fixture
def embedding_model() -> str:
    """With vectors."""
    return "scripted"


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_telemetry_holds_what_was_sent_f36(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, fault: str
) -> None:
    """Every operation of the OpenAPI document, well and with each fault: canaries are with their user only."""
    operations = await _operations(keepsake)
    assert set(BODIES) <= operations.keys()
    with capturing() as captured:
        await _send_all(keepsake, operations, "first")
        FAULTS[fault](cosmos, model, redis)
        failed = await _send_all(keepsake, operations, "second")
        model.reset()
        others = await _send_others(keepsake)
        seen = captured.everything().lower()
    assert len(captured.requests) >= 2 * len(operations)
    assert [line for line in seen.splitlines() if MARK in line] == []
    assert [
        answer.text
        for answer in (*failed, *others)
        if answer.status_code >= 400 and MARK in answer.text
    ] == []
    assert [answer.text for answer in others if MARK in answer.text] == []


async def test_what_nobody_foresaw_tells_no_content_f36(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """A stored item that cannot be read is a 500 whose telemetry quotes nothing of it, nor does its answer."""
    async with keepsake.client("canary-user") as client:
        await client.put("/preferences", json={"preferences": {"tone": "canary-wish"}})
        (stored,) = [row for row in cosmos.rows("preferences") if row["user_id"] == "canary-user"]
        await _damage(keepsake, stored)
        with capturing() as captured:
            answer = await client.get("/preferences")
    assert answer.status_code == 500
    assert captured.requests[-1]["error_code"] == "internal_error"
    assert MARK not in captured.everything() + answer.text


async def test_a_token_that_is_refused_is_not_told_f36(
    cosmos: LocalCosmos, model: ModelServer
) -> None:
    """A bearer token that is none leaves no trace."""
    entra: dict[str, Any] = {
        "entra_tenant_ids": ("00000000-0000-0000-0000-000000000001",),
        "entra_audience": "api",
    }
    async with (
        running(cosmos, model, auth_mode=AuthMode.ENTRA, **entra) as app,
        app.client("canary-user") as client,
    ):
        with capturing() as captured:
            answer = await client.get(
                "/sessions", headers={"authorization": "Bearer canary.canary.canary"}
            )
    assert answer.status_code == 401
    assert MARK not in captured.everything() + answer.text


async def _operations(keepsake: Keepsake) -> dict[str, tuple[str, str]]:
    """Method and path of every operation."""
    document = await keepsake.get("/openapi.json")
    return {
        operation["operationId"]: (method.upper(), path)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


async def _send_all(
    keepsake: Keepsake, operations: dict[str, tuple[str, str]], turn: str
) -> list[httpx.Response]:
    """Every operation with canaries, chat also as a stream, and one of each that the schema refuses."""
    named = {
        "session_id": "canary-session",
        "turn_id": f"canary-put-{turn}",
        "name": "canary-name",
        "asset": "canary.css",
    }
    calls: list[Awaitable[httpx.Response]] = []
    async with keepsake.client(None) as client:
        for name, (method, path) in sorted(operations.items()):
            url = (
                path.removeprefix("/api").format(**named) + "?cursor=canary-cursor&code=canary-code"
            )
            bodies = (
                [BODIES[name], {"canary-unknown": "canary"}, ["canary"]]
                if name in BODIES
                else [None]
            )
            headers = HEADERS | {"idempotency-key": f"canary-key-{turn}"}
            calls += [client.request(method, url, json=body, headers=headers) for body in bodies]
        stream = BODIES["chat"] | {"stream": True, "turn_id": f"canary-stream-{turn}"}
        calls.append(client.post("/chat", json=stream, headers=HEADERS))
        calls.append(client.post("/chat", content=b'{"canary', headers=HEADERS))
        calls.append(client.get("/canary-path", headers=HEADERS))
        return [await call for call in calls]


async def _send_others(keepsake: Keepsake) -> list[httpx.Response]:
    """What another user is answered meanwhile."""
    async with keepsake.client(BEN) as client:
        chat = client.post("/chat", json={"message": "Hello", "session_id": "s"})
        reads = [
            client.get(path) for path in ("/preferences", "/sessions/s", "/sessions", "/nothing")
        ]
        return await asyncio.gather(chat, *reads)


async def _damage(keepsake: Keepsake, stored: dict[str, Any]) -> None:
    services = await keepsake.composition.services()
    containers = services.clients.containers
    async with containers.call("preferences") as container:
        await container.upsert_item(
            {"id": stored["id"], "user_id": stored["user_id"], "preferences": "canary-wish"}
        )


def _script_vectors(model: ModelServer, behaviour: Behaviour) -> None:
    model.embedding_script.extend([behaviour] * 20)


def _script(model: ModelServer, behaviour: Behaviour) -> None:
    model.script.extend([behaviour] * 20)
