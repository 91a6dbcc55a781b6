"""function_app.py in the library that runs it in Azure: every function, its key, its responses."""

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from azure.cosmos import CosmosClient

from cosmos_local import LOCAL_KEY
from local.model import Behaviour
from shared.settings import AuthMode
from tests.support.azurite import can_run
from tests.support.model_server import ModelServer
from tests.support.processes import wait_until

pytestmark = pytest.mark.xdist_group("worker")

OPERATOR_FUNCTIONS = {"read_readiness", "read_openapi", "read_docs", "read_docs_asset"}
TURN = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]}


@dataclass(frozen=True, slots=True)
class Case:
    """A request to one function, and a part of the expected response."""

    function: str
    method: str
    path: str
    status: int
    expected: str = ""
    body: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


JOB = json.dumps({"user_id": "consolidate_session", "session_id": "s"})

CASES = [
    Case("chat", "POST", "/api/chat", 200, '"seq":2', {"message": "Hello", "session_id": "s"}),
    Case("list_sessions", "GET", "/api/sessions", 200, '"session_id":"s"'),
    Case("read_session", "GET", "/api/sessions/s", 200, '"turn_count":1'),
    Case(
        "update_session",
        "PATCH",
        "/api/sessions/s",
        200,
        '"title":"Greetings"',
        {"title": "Greetings"},
    ),
    Case("delete_session", "DELETE", "/api/sessions/s", 204),
    Case("consolidate_now", "POST", "/api/sessions/s/consolidate", 200, '"consolidated_seq":1'),
    Case("list_turns", "GET", "/api/sessions/s/turns", 200, '"content":"Hi"'),
    Case("put_turn", "PUT", "/api/sessions/s/turns/second", 201, '"seq":2', TURN),
    Case("read_preferences", "GET", "/api/preferences", 200, '"preferences":{}'),
    Case(
        "replace_preferences",
        "PUT",
        "/api/preferences",
        200,
        "short",
        {"preferences": {"tone": "short"}},
    ),
    Case(
        "update_preferences",
        "PATCH",
        "/api/preferences",
        200,
        "short",
        {"preferences": {"tone": "short"}},
    ),
    Case("delete_preferences", "DELETE", "/api/preferences", 204),
    Case("put_data", "PUT", "/api/sessions/s/data/cart", 200, '"value":[1]', {"value": [1]}),
    Case("list_data", "GET", "/api/sessions/s/data", 200, '"value":['),
    Case("read_data", "GET", "/api/sessions/s/data/cart", 404, "not_found"),
    Case("delete_data", "DELETE", "/api/sessions/s/data/cart", 204),
    Case(
        "preview_context",
        "POST",
        "/api/context",
        200,
        '"messages"',
        {"message": "Hello", "session_id": "s"},
    ),
    Case("read_usage", "GET", "/api/user/usage", 200, '"turns":1'),
    Case("read_health", "GET", "/api/health", 200, '"ok"'),
    Case(
        "read_readiness",
        "GET",
        "/api/health/ready",
        200 if can_run() else 503,
        '"cosmos":{"status":"ok"',
    ),
    Case("read_openapi", "GET", "/api/openapi.json", 200, '"openapi":"3.1'),
    Case("read_docs", "GET", "/api/docs", 200, "docs/swagger-ui.css"),
    Case("read_docs_asset", "GET", "/api/docs/swagger-ui.css", 200, ".swagger-ui"),
    Case("sweep_deleted_sessions", "POST", "/admin/functions/sweep_deleted_sessions", 202),
    Case(
        "consolidate_session",
        "POST",
        "/admin/functions/consolidate_session",
        202,
        body={"input": JOB},
    ),
]
QUEUE_CASES = [
    Case("summarise_idle_sessions", "POST", "/admin/functions/summarise_idle_sessions", 202),
]
HTTP_CASES = [case for case in CASES if case.path.startswith("/api/")]
USER_CASES = [
    case for case in HTTP_CASES if case.function not in {*OPERATOR_FUNCTIONS, "read_health"}
]
KEY_PROTECTED = {
    AuthMode.LOCAL: set(),
    AuthMode.ENTRA: OPERATOR_FUNCTIONS,
    AuthMode.KEY: {case.function for case in HTTP_CASES} - {"read_health"},
}


@pytest.fixture(scope="module")
def workers(
    worker: httpx.Client, entra_worker: httpx.Client, key_worker: httpx.Client
) -> dict[AuthMode, httpx.Client]:
    """The app in the real worker, once per mode."""
    return {AuthMode.LOCAL: worker, AuthMode.ENTRA: entra_worker, AuthMode.KEY: key_worker}


def indexed(worker: httpx.Client) -> dict[str, dict[str, Any]]:
    """The trigger of every function that the worker has indexed."""
    functions = worker.get(
        "/admin/functions", headers={"x-functions-key": "local-function-key"}
    ).json()
    return {function["name"]: function["config"]["bindings"][0] for function in functions}


def error_code(answer: httpx.Response) -> str:
    """The code in the envelope, which equals the one in the header."""
    code: str = answer.json()["error"]["code"]
    assert code == answer.headers["x-ms-error-code"]
    return code


def test_every_function_has_a_case(worker: httpx.Client) -> None:
    """Each function that the real worker indexes has a case in this file."""
    assert set(indexed(worker)) == {case.function for case in (*CASES, *QUEUE_CASES)}


@pytest.mark.parametrize(
    "case", [*CASES, *(QUEUE_CASES if can_run() else [])], ids=lambda case: case.function
)
def test_every_function_answers(worker: httpx.Client, case: Case) -> None:
    """Each function of the app runs in the real worker."""
    user = {"x-user-id": case.function}
    worker.put("/api/sessions/s/turns/first", json=TURN, headers=user)
    answer = worker.request(case.method, case.path, json=case.body, headers=user)
    assert answer.status_code == case.status
    assert case.expected in answer.text


def test_functions_and_openapi_match(worker: httpx.Client) -> None:
    """Method, route and name of the HTTP functions match the OpenAPI document.

    Health probes also accept HEAD, which the document does not list.
    """
    paths = worker.get("/api/openapi.json").json()["paths"]
    documented = {
        (method.upper(), path.removeprefix("/api/"), operation["operationId"])
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    triggers = indexed(worker).items()
    probes = {("HEAD", "health", "read_health"), ("HEAD", "health/ready", "read_readiness")}
    assert documented | probes == {
        (method, trigger["route"], name)
        for name, trigger in triggers
        if trigger["type"] == "httpTrigger"
        for method in trigger["methods"]
    }


def test_a_head_probe_is_answered(worker: httpx.Client) -> None:
    """Health probes with HEAD work through the worker too."""
    assert worker.head("/api/health").status_code == 200


@pytest.mark.parametrize("case", HTTP_CASES, ids=lambda case: case.function)
@pytest.mark.parametrize("mode", AuthMode)
def test_each_mode_has_the_right_auth_level_f41(
    workers: dict[AuthMode, httpx.Client], mode: AuthMode, case: Case
) -> None:
    """Local mode needs no key, Entra mode guards operator functions, key mode all but health."""
    levels = indexed(workers[mode])
    assert levels[case.function]["authLevel"] == (
        "FUNCTION" if case.function in KEY_PROTECTED[mode] else "ANONYMOUS"
    )


@pytest.mark.parametrize("case", [case for case in HTTP_CASES if case.function != "read_health"])
def test_without_the_key_every_service_is_refused(key_worker: httpx.Client, case: Case) -> None:
    """With AUTH_MODE=key the platform refuses callers without a key, even if they name a user."""
    answer = key_worker.request(
        case.method,
        case.path,
        json=case.body,
        headers={"x-user-id": "ada", "x-functions-key": "guessed"},
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (401, "principal_required")),
        ({"x-user-id": ""}, (400, "invalid_id")),
        ({"x-user-id": "a b"}, (400, "invalid_id")),
    ],
)
@pytest.mark.parametrize("case", USER_CASES, ids=lambda case: case.function)
def test_a_service_must_name_the_user(
    key_worker: httpx.Client, case: Case, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    """The key proves a service, not a user: every operation requires a valid user id."""
    answer = key_worker.request(case.method, case.path, json=case.body, headers=headers)
    assert (answer.status_code, error_code(answer)) == expected


def test_a_service_keeps_users_isolated(key_worker: httpx.Client) -> None:
    """With the key, the header names the user, and users are still isolated."""
    key_worker.put("/api/sessions/s/turns/t", json=TURN, headers={"x-user-id": "key-ada"})
    answers = [
        key_worker.get("/api/sessions/s", headers={"x-user-id": user})
        for user in ("key-ada", "key-ben")
    ]
    assert [answer.status_code for answer in answers] == [200, 404]


@pytest.mark.parametrize("path", ["health/ready", "openapi.json", "docs", "docs/favicon.png"])
def test_without_the_key_operator_functions_are_refused(
    entra_worker: httpx.Client, path: str
) -> None:
    """Readiness and documentation need a key in Azure; it may be in the query string."""
    assert entra_worker.get(f"/api/{path}").status_code == 401
    assert entra_worker.get(f"/api/{path}?code=local-function-key").status_code == 200


def test_without_a_token_the_user_is_refused(entra_worker: httpx.Client) -> None:
    """In Azure the app itself asks users for a token, and no header replaces it."""
    answer = entra_worker.get("/api/sessions", headers={"x-user-id": "ada"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "principal_required")


def test_a_turn_is_stored_and_replayed(worker: httpx.Client) -> None:
    """Through the worker too, a turn sent twice is stored once with one answer."""
    turn, user = {"message": "Hello", "session_id": "s", "turn_id": "t"}, {"x-user-id": "replayed"}
    first = worker.post("/api/chat", json=turn, headers=user).json()
    second = worker.post("/api/chat", json=turn, headers=user).json()
    transcript = worker.get("/api/sessions/s/turns", headers=user).json()["value"]
    assert (second["reply"], second["replayed"]) == (first["reply"], True)
    assert [turn["turn_id"] for turn in transcript] == ["t"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/chat", b"{", 400, "invalid_json"),
        ("GET", "/api/sessions/none", b"", 404, "not_found"),
        (
            "PUT",
            "/api/sessions/s/turns/t",
            json.dumps(TURN).replace("Hi", "Ho").encode(),
            409,
            "turn_conflict",
        ),
    ],
)
def test_errors_keep_their_envelope(
    worker: httpx.Client, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    """Errors arrive through the worker as the application sent them, with the code in a header."""
    user = {"x-user-id": "errors", "content-type": "application/json"}
    worker.put("/api/sessions/s/turns/t", json=TURN, headers=user)
    answer = worker.request(method, path, content=body, headers=user)
    assert (answer.status_code, error_code(answer)) == (status, code)


def test_internal_errors_keep_their_envelope(worker: httpx.Client, cosmos_address: str) -> None:
    """An unexpected error, here a damaged item, is a 500 with a reference; the worker continues."""
    with CosmosClient(cosmos_address, LOCAL_KEY) as client:
        container = client.get_database_client("agent-memory").get_container_client("preferences")
        container.upsert_item({"id": "damaged", "user_id": "damaged"})
    answer = worker.get("/api/preferences", headers={"x-user-id": "damaged"})
    assert (answer.status_code, error_code(answer)) == (500, "internal_error")
    assert worker.get("/api/health").status_code == 200


def test_the_request_id_is_the_invocation_id(worker: httpx.Client) -> None:
    """The id in the response is that of the platform's logs; a caller cannot choose it."""
    chosen = str(uuid4())
    answer = worker.get("/api/health", headers={"x-ms-invocation-id": chosen})
    assert UUID(answer.headers["x-ms-request-id"]) != UUID(chosen)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/nothing"), ("POST", "/api/health"), ("GET", "/health")]
)
def test_an_unknown_function_is_404(worker: httpx.Client, method: str, path: str) -> None:
    """Paths and methods without a function do not reach the app; the host has no 405."""
    assert worker.request(method, path).status_code == 404


def test_a_turn_continues_when_its_client_disconnects(
    worker: httpx.Client, model: ModelServer
) -> None:
    """A turn whose client disconnected is completed and stored."""
    model.script.append(Behaviour(text="late", delay=0.5))
    turn, user = {"message": "Hello", "session_id": "s", "turn_id": "t"}, {"x-user-id": "impatient"}
    with pytest.raises(httpx.ReadTimeout):
        worker.post("/api/chat", json=turn, headers=user, timeout=0.25)
    wait_until(lambda: '"content":"late"' in worker.get("/api/sessions/s/turns", headers=user).text)


def test_the_first_delta_leaves_the_worker_during_generation(
    worker: httpx.Client, model: ModelServer
) -> None:
    """Streaming works through the real worker too."""
    model.script.append(
        Behaviour(text="one two three four five six seven eight nine ten", chunk_delay=0.05)
    )
    before = model.chunks_sent
    turn, headers = {"message": "Hello"}, {"x-user-id": "reader", "accept": "text/event-stream"}
    with worker.stream("POST", "/api/chat", json=turn, headers=headers) as response:
        lines = response.iter_lines()
        next(line for line in lines if line == "event: delta")
        sent_at_first_delta = model.chunks_sent - before
        assert "event: done" in lines
    assert sent_at_first_delta < 5


def test_disconnecting_from_the_worker_interrupts_the_turn(
    worker: httpx.Client, model: ModelServer
) -> None:
    """Disconnecting stops generation through the worker, and the partial reply is stored."""
    model.script.append(Behaviour(text="word " * 400, chunk_delay=0.02))
    user = {"x-user-id": "disconnects"}
    turn = {"message": "Hello", "session_id": "s", "turn_id": "t", "stream": True}
    with worker.stream("POST", "/api/chat", json=turn, headers=user) as response:
        next(line for line in response.iter_lines() if line == "event: delta")
    wait_until(
        lambda: '"status":"interrupted"' in worker.get("/api/sessions/s/turns", headers=user).text
    )


def test_a_failed_timer_run_is_reported(worker: httpx.Client, cosmos_address: str) -> None:
    """The platform learns that a timer run failed, and the type of the error only."""
    httpx.post(
        f"{cosmos_address}/_local/faults", json={"status": 503, "times": 100}
    ).raise_for_status()
    answer = worker.post("/admin/functions/sweep_deleted_sessions")
    httpx.delete(f"{cosmos_address}/_local/faults").raise_for_status()
    assert (answer.status_code, answer.text.split(":")[0]) == (500, "StoreUnavailable")


def test_the_admin_route_runs_only_background_functions(
    worker: httpx.Client, entra_worker: httpx.Client
) -> None:
    """The host's admin route needs the key and runs no HTTP function."""
    assert entra_worker.post("/admin/functions/sweep_deleted_sessions").status_code == 401
    assert worker.post("/admin/functions/chat").status_code == 404
