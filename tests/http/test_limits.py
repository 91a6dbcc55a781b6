"""Limits and malformed input: a 4xx in our error format that names the problem."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.messages import MAX_MESSAGE_BYTES
from shared.http.request_limits import MAX_BODY_BYTES, MAX_BODY_BYTES_OF, MAX_SMALL_BODY_BYTES
from shared.http.schemas.fields import MAX_INSTRUCTIONS_BYTES
from tests.conftest import Rows
from tests.support.app import Keepsake
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These tests do not depend on the session cache."""
    return {}


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (0, 200), (1, 413)])
@pytest.mark.parametrize("letter", ["a", "é"])
@pytest.mark.parametrize(
    ("field", "limit"), [("message", MAX_MESSAGE_BYTES), ("instructions", MAX_INSTRUCTIONS_BYTES)]
)
async def test_text_is_limited_in_bytes_f27(
    keepsake: Keepsake, field: str, limit: int, letter: str, extra: int, status: int
) -> None:
    """One byte over the limit is 413 and names the limit; it counts bytes, not characters."""
    text = letter * ((limit + extra) // len(letter.encode()))
    text += "a" * (limit + extra - len(text.encode()))
    answer = await keepsake.chat(**({"message": "Hi"} | {field: text}))
    assert answer.status_code == status
    assert status == 200 or str(limit) in answer.json()["error"]["message"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_huge_body_is_refused_before_it_is_parsed_f27(
    keepsake: Keepsake,
    chunked: bool,  # noqa: FBT001
) -> None:
    """A body over the limit is 413, with or without a Content-Length."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            yield b" " * 65_536

    async with keepsake.client() as client:
        content: Any = chunks() if chunked else b" " * (MAX_BODY_BYTES + 1)
        answer = await client.post(
            "/chat", content=content, headers={"content-type": "application/json"}
        )
    _assert_envelope(answer, 413)


async def test_a_body_announced_as_huge_is_not_read_f27(keepsake: Keepsake) -> None:
    """The announced length is enough to refuse a body."""
    headers = {"content-type": "application/json", "content-length": str(MAX_BODY_BYTES + 1)}
    async with keepsake.client() as client:
        _assert_envelope(
            await client.post("/chat", content=b'{"message": "Hi"}', headers=headers), 413
        )


async def test_a_body_of_exactly_the_limit_is_read_f27(keepsake: Keepsake) -> None:
    """A body of exactly the limit is accepted."""
    body = b'{"message": "Hi"}'.ljust(MAX_BODY_BYTES)
    async with keepsake.client() as client:
        answer = await client.post(
            "/chat", content=body, headers={"content-type": "application/json"}
        )
    assert answer.status_code == 200


async def test_at_most_twenty_errors_are_listed(keepsake: Keepsake) -> None:
    """An error lists at most twenty details, and a field that is too large decides the status."""
    unknown: dict[str, Any] = {f"unknown{n}": n for n in range(30)}
    many = await keepsake.chat("Hi", **unknown)
    large = await keepsake.chat("", instructions="x" * (MAX_INSTRUCTIONS_BYTES + 1))
    assert (many.status_code, len(many.json()["error"]["details"])) == (400, 20)
    assert (large.status_code, large.json()["error"]["target"]) == (413, "instructions")
    assert [detail["target"] for detail in large.json()["error"]["details"]] == [
        "message",
        "instructions",
    ]


@pytest.mark.parametrize(
    ("raw", "media"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'"x"', "application/json"),
        (b"null", "application/json"),
        (b'{"message": 1}', "application/json"),
        (b'{"message": ""}', "application/json"),
        (b'{"message": "a", "user_id": "ben"}', "application/json"),
        (b'{"message": "a", "message": "b"}', "application/json"),
        (b'{"message": "a", "history_tokens": NaN}', "application/json"),
        (b'{"message": "a", "metadata": {"a": 99999999999999999999}}', "application/json"),
        (b'{"message": "\\ud800"}', "application/json"),
        (b'{"message": "\\u0000"}', "application/json"),
        (b'{"message": "a", "session_id": "a/b"}', "application/json"),
        (b'{"message": "a", "turn_id": ""}', "application/json"),
        (b"[" * 100_000, "application/json"),
        (b'{"message": "a"}', "text/plain"),
        (b"message=a", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/json"),
    ],
)
async def test_a_malformed_body_is_400_and_stores_nothing_f42(
    keepsake: Keepsake, cosmos_rows: Rows, model: ModelServer, raw: bytes, media: str
) -> None:
    """A body that is not a chat turn is refused; no model is called and nothing is stored."""
    async with keepsake.client() as client:
        answer = await client.post("/chat", content=raw, headers={"content-type": media})
    _assert_envelope(answer, 400)
    assert (cosmos_rows("session"), model.requests) == ([], [])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/chat", 405),
        ("PUT", "/chat", 405),
        ("TRACE", "/chat", 405),
        ("POST", "/sessions", 405),
        ("GET", "/sessions/", 404),
        ("GET", "/sessions?limit=0", 400),
        ("GET", "/sessions?limit=101", 400),
        ("GET", "/sessions?limit=x", 400),
        ("GET", f"/sessions/{'a' * 201}", 400),
        ("GET", "/sessions/%00", 400),
        ("GET", "/sessions/a%0A", 400),
        ("GET", "/sessions/..%2Fuser", 404),
        ("GET", "/docs/../../etc/passwd", 404),
        ("GET", "/docs/%2e%2e", 400),
        ("GET", "/sessions/%ff", 400),
    ],
)
async def test_an_invalid_path_or_method_is_4xx_in_the_envelope_f42(
    keepsake: Keepsake, method: str, path: str, status: int
) -> None:
    """Unknown paths, methods, parameters and invalid ids have distinct statuses, never 500."""
    async with keepsake.client() as client:
        _assert_envelope(await client.request(method, path), status)


async def test_an_internal_error_is_500_in_the_envelope_without_content_f36(
    keepsake: Keepsake, caplog: pytest.LogCaptureFixture
) -> None:
    """After an internal error neither response nor log quotes the input; both name the request."""
    del keepsake.api.state.authenticator
    answer = await keepsake.chat("canary-content", session_id="canary-session")
    _assert_envelope(answer, 500)
    assert "canary" not in answer.text + caplog.text
    assert answer.json()["error"]["message"].split()[-1] in caplog.text


@given(
    text=st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200
    )
)
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
async def test_text_comes_back_byte_for_byte_f29(keepsake: Keepsake, text: str) -> None:
    """Text in any script is stored and returned unchanged."""
    await keepsake.chat(text)
    turns = await keepsake.transcript()
    assert text in [turn["messages"][0]["content"] for turn in turns]


@pytest.mark.parametrize(
    "text",
    [
        "e\u0301 é",
        "\u202eright-to-left",
        "👩‍👩‍👧‍👦" * 10,
        "a\u200bb",
        "\U0001d4b3",
        "\u0001\u001f",
        "Z" + "\u0300" * 500,
        "{}'\";--",
    ],
)
async def test_unusual_text_comes_back_byte_for_byte_f29(keepsake: Keepsake, text: str) -> None:
    """Combining, bidirectional, invisible, astral and control characters come back unchanged."""
    await keepsake.chat(text)
    assert (await keepsake.transcript())[0]["messages"][0]["content"] == text


@pytest.mark.parametrize(
    "text", ["' or 1=1 --", '" or true', "*/ drop", "') RETURN c (", "{{x}}", "$ne", "c.user_id"]
)
async def test_query_syntax_is_not_interpreted_f35(keepsake: Keepsake, text: str) -> None:
    """Ids and texts that contain query syntax match only themselves."""
    await keepsake.chat("Another", session_id="other")
    session = text.replace("/", "|").replace("?", "|")
    await keepsake.chat(text, session_id=session, turn_id=session)
    turns = await keepsake.get(f"/sessions/{session}/turns")
    assert [turn["turn_id"] for turn in turns["value"]] == [session]


def _assert_envelope(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert answer.headers["x-ms-error-code"] == error["code"]
    assert error["message"]
    assert answer.headers["x-ms-request-id"]


async def test_a_forged_cursor_is_refused(keepsake: Keepsake) -> None:
    """A cursor that can never work is 400, not a retryable error."""
    await keepsake.chat()
    cursor = base64.urlsafe_b64encode(b'{"seq":' + b"9" * 700 + b"}").decode().rstrip("=")
    async with keepsake.client() as client:
        _assert_envelope(await client.get(f"/sessions/s/turns?cursor={cursor}"), 400)


@pytest.mark.parametrize(
    ("sent", "target", "expected"),
    [
        ({"content": b'{"message": "Hello"}'}, "content-type", "application/json"),
        (
            {"json": {"message": "x"}, "headers": {"x-request-deadline-ms": "soon"}},
            "x-request-deadline-ms",
            "whole number",
        ),
        ({"content": b"", "headers": {"content-type": "application/json"}}, None, "JSON object"),
    ],
)
async def test_an_error_names_the_field_and_the_fix(
    keepsake: Keepsake, sent: dict[str, Any], target: str | None, expected: str
) -> None:
    """The error names the header or field and what to send."""
    async with keepsake.client() as client:
        error = (await client.post("/chat", **sent)).json()["error"]
    assert (error.get("target"), expected in error["message"]) == (target, True)


async def test_limits_count_the_json_as_sent(keepsake: Keepsake) -> None:
    """A value of 120,901 bytes fits into 131,072, although Python's default JSON would not."""
    body = json.dumps({"value": list(range(22_000))}, separators=(",", ":"))
    async with keepsake.client() as client:
        headers = {"content-type": "application/json"}
        answer = await client.put("/sessions/s/data/n", content=body, headers=headers)
    assert answer.status_code == 200


async def test_a_caller_is_authenticated_before_the_body_is_read_f49(keepsake: Keepsake) -> None:
    """Whatever a caller without a user sends, it is 401 before the first byte is asked for."""
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"[" * 65_536

    async with keepsake.client(None) as client:
        headers = {"content-type": "application/json"}
        answer = await client.post("/chat", content=body(), headers=headers)
    _assert_envelope(answer, 401)
    assert read == 0


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("PATCH", "/sessions/s", MAX_SMALL_BODY_BYTES),
        ("PUT", "/sessions/s/data/d", MAX_BODY_BYTES_OF["put_data"]),
        ("PUT", "/preferences", MAX_BODY_BYTES_OF["replace_preferences"]),
        ("PATCH", "/preferences", MAX_BODY_BYTES_OF["update_preferences"]),
        ("POST", "/context", MAX_BODY_BYTES_OF["preview_context"]),
        ("POST", "/chat", MAX_BODY_BYTES),
        ("PUT", "/sessions/s/turns/t", MAX_BODY_BYTES),
    ],
)
async def test_each_operation_reads_no_more_than_it_can_use_f49(
    keepsake: Keepsake, method: str, path: str, limit: int
) -> None:
    """A longer body is 413, and the error names the limit."""
    async with keepsake.client() as client:
        headers = {"content-type": "application/json"}
        answer = await client.request(method, path, content=b" " * (limit + 1), headers=headers)
    _assert_envelope(answer, 413)
    assert f"{limit} bytes" in answer.json()["error"]["message"]


async def test_a_body_of_very_many_values_is_refused_f49(keepsake: Keepsake) -> None:
    """The limit is named; deep and wide bodies cost no more than to find this out."""
    content = b'{"value": [' + b"1," * 250_000 + b"1]}"
    async with keepsake.client() as client:
        headers = {"content-type": "application/json"}
        answer = await client.put("/sessions/s/data/d", content=content, headers=headers)
    _assert_envelope(answer, 400)
    assert "200000 values" in answer.json()["error"]["message"]
