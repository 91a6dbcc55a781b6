"""No content and no identity appears in logs, spans, metrics or other users' responses (F36)."""

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

CANARY = "canary"  # part of every text below, and of no name of ours
BODIES: dict[str, Any] = {
    "chat": {
        "message": "canary-message",
        "session_id": "canary-session",
        "instructions": "canary-instructions",
        "agent_id": "canary-agent",
        "metadata": {"canary-key": "canary-metadata"},
    },
    "preview_context": {"message": "canary-message", "session_id": "canary-session"},
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
InjectFault = Callable[[LocalCosmos, ModelServer, RedisServer], None]
HTML = "<html><body>canary-page</body></html>"
FAULTS: dict[str, InjectFault] = {
    "none": lambda _cosmos, _model, _redis: None,
    "cosmos_down": lambda cosmos, _model, _redis: cosmos.faults.add(
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
    "model_returns_html": lambda _cosmos, model, _redis: _script(
        model, Behaviour(body=HTML, headers={"content-type": "text/html"})
    ),
    "model_breaks_off": lambda _cosmos, model, _redis: _script(
        model, Behaviour(text="canary one", breaks_off_after=1)
    ),
    "embedder_fails": lambda _cosmos, model, _redis: _script_vectors(
        model, Behaviour(status=400, body='{"error": "canary-error"}')
    ),
    "embedder_returns_html": lambda _cosmos, model, _redis: _script_vectors(
        model, Behaviour(body=HTML, headers={"content-type": "text/html"})
    ),
    "redis_down": lambda _cosmos, _model, redis: redis.stop(),
}


@pytest.fixture
def session_cache(redis: RedisServer) -> dict[str, Any]:
    """With a session cache, which one of the faults stops."""
    return {"redis_socket": str(redis.socket)}


@pytest.fixture
def embedding_model() -> str:
    """With vectors."""
    return "scripted"


@pytest.mark.parametrize("fault", FAULTS)
async def test_telemetry_contains_nothing_of_a_request_f36(
    keepsake: Keepsake, cosmos: LocalCosmos, model: ModelServer, redis: RedisServer, fault: str
) -> None:
    """Every operation of the OpenAPI document, without and with each fault, leaks no canary."""
    operations = await _operations(keepsake)
    assert set(BODIES) <= operations.keys()
    with capturing() as captured:
        await _send_all(keepsake, operations, "first")
        FAULTS[fault](cosmos, model, redis)
        failed = await _send_all(keepsake, operations, "second")
        model.reset()
        others = await _send_as_another_user(keepsake)
        telemetry = captured.everything().lower()
    assert len(captured.requests) >= 2 * len(operations)
    assert [line for line in telemetry.splitlines() if CANARY in line] == []
    assert [
        answer.text
        for answer in (*failed, *others)
        if answer.status_code >= 400 and CANARY in answer.text
    ] == []
    assert [answer.text for answer in others if CANARY in answer.text] == []


async def test_an_unexpected_error_contains_no_content_f36(
    keepsake: Keepsake, cosmos: LocalCosmos
) -> None:
    """An unreadable item is a 500 whose response and telemetry quote nothing of it."""
    async with keepsake.client("canary-user") as client:
        await client.put("/preferences", json={"preferences": {"tone": "canary-wish"}})
        (stored,) = [row for row in cosmos.rows("preferences") if row["user_id"] == "canary-user"]
        await _damage(keepsake, stored)
        with capturing() as captured:
            answer = await client.get("/preferences")
    assert answer.status_code == 500
    assert captured.requests[-1]["error_code"] == "internal_error"
    assert CANARY not in captured.everything() + answer.text


async def test_a_refused_token_is_not_logged_f36(cosmos: LocalCosmos, model: ModelServer) -> None:
    """A refused bearer token appears nowhere."""
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
    assert CANARY not in captured.everything() + answer.text


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
    """Send every operation with canaries, chat also as a stream, and variants that are invalid."""
    path_parameters = {
        "session_id": "canary-session",
        "turn_id": f"canary-put-{turn}",
        "name": "canary-name",
        "asset": "canary.css",
    }
    calls: list[Awaitable[httpx.Response]] = []
    async with keepsake.client(None) as client:
        for name, (method, path) in sorted(operations.items()):
            url = (
                path.removeprefix("/api").format(**path_parameters)
                + "?cursor=canary-cursor&code=canary-code"
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


async def _send_as_another_user(keepsake: Keepsake) -> list[httpx.Response]:
    """What another user's requests return meanwhile."""
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
