"""What clients really send: nulls, dumps of SDK messages, parts, odd media types and ids (F55)."""

from typing import Any

import httpx
import pytest

from local.model import Behaviour
from tests.support.app import Keepsake
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio

DUMP: dict[str, Any] = {
    "content": "Hello",
    "refusal": None,
    "role": "assistant",
    "annotations": [],
    "audio": None,
    "function_call": None,
    "tool_calls": None,
}


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """What clients send does not depend on the session cache."""
    return {}


async def post(keepsake: Keepsake, content: bytes | str, **headers: str) -> httpx.Response:
    """POST a raw body to /chat."""
    defaults = {"content-type": "application/json"}
    async with keepsake.client() as client:
        return await client.post("/chat", content=content, headers=defaults | headers)


async def test_null_is_absent_f55(keepsake: Keepsake) -> None:
    """Every optional field may be null, and the turn is the same as without it."""
    nulls: dict[str, Any] = dict.fromkeys(
        ("model", "instructions", "tools", "stream", "memory", "history_tokens")
    )
    first = await keepsake.chat("Hello", turn_id="t")
    again = await keepsake.chat("Hello", **{"turn_id": "t"} | nulls)
    assert (first.status_code, again.json()["replayed"]) == (200, True)


@pytest.mark.parametrize("role", ["developer", "assistant"])
async def test_the_dump_of_a_message_can_be_recorded_f55(keepsake: Keepsake, role: str) -> None:
    """`message.model_dump()` of an SDK is accepted as it is."""
    messages = [{"role": "user", "content": "Hi"}, DUMP | {"role": role}]
    async with keepsake.client() as client:
        answer = await client.put("/sessions/s/turns/t", json={"messages": messages})
        context = await client.post("/context", json={"message": "Hi", "model": None})
    assert (answer.status_code, context.status_code) == (201, 200), answer.text


async def test_parts_become_text_and_a_marker_f55(keepsake: Keepsake, model: ModelServer) -> None:
    """The texts of parts are joined; of an image, only a marker is kept."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts: Any = [{"type": "text", "text": "What is this?"}, image]
    answer = await keepsake.chat(message=parts)
    assert answer.status_code == 200, answer.text
    assert model.requests[-1]["messages"][-1]["content"] == "What is this?\n[image]"
    assert "AAAA" not in str(await keepsake.transcript())


@pytest.mark.parametrize(
    ("accept", "stream", "is_stream"),
    [
        ("text/event-stream", "", True),
        ("Text/Event-Stream; q=0.5, application/json;q=0.1", "", True),
        ("text/event-stream;q=0, */*", "", False),
        ("text/event-stream", ', "stream": false', False),
    ],
)
async def test_media_types_follow_rfc_9110_f55(
    keepsake: Keepsake,
    accept: str,
    stream: str,
    is_stream: bool,  # noqa: FBT001 - a column
) -> None:
    """Case and q=0 count, and the body's `stream` takes precedence."""
    body = f'{{"message": "Hi", "session_id": "s"{stream}}}'
    answer = await post(keepsake, body, accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream") is is_stream


async def test_a_byte_order_mark_is_skipped_f55(keepsake: Keepsake) -> None:
    """Some editors and .NET clients send one."""
    assert (await post(keepsake, b'\xef\xbb\xbf{"message": "Hi", "session_id": "s"}')).is_success


async def test_a_compressed_body_is_refused_f55(keepsake: Keepsake) -> None:
    """It is 415 with a reason, not invalid JSON."""
    answer = await post(keepsake, b"\x1f\x8b", **{"content-encoding": "gzip"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (415, "unsupported_media_type")


async def test_large_integers_in_tools_pass_f55(keepsake: Keepsake, model: ModelServer) -> None:
    """Schemas contain 64-bit limits, and only the provider reads them."""
    limit = 2**63 - 1
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": limit}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    assert (await keepsake.chat("Hi", tools=[tool])).status_code == 200
    assert model.requests[-1]["tools"] == [tool]


@pytest.mark.parametrize(
    "user",
    [
        "29:1bSnHZ7Js2STWrgk6ScEErLk1Lp2zQuD5H2qQ960rtvs",
        "8:orgid:2b1d0b3c-0f64-4b4f-9f0d-7b2a1c5d9e11",
        "19:meeting_abc@thread.tacv2;messageid=1700000000000",
        "o'neill+bot@contoso.example",
        "+4915112345678",
        "ada%23EXT%23@contoso.example",
    ],
)
async def test_the_ids_of_teams_and_mail_are_valid_f55(keepsake: Keepsake, user: str) -> None:
    """They are used as they are and never decoded."""
    assert (await keepsake.chat("Hi", user=user)).status_code == 200
    assert [row["session_id"] for row in (await keepsake.get("/sessions", user=user))["value"]] == [
        "s"
    ]


async def test_a_user_id_to_be_encoded_is_explained_f55(keepsake: Keepsake) -> None:
    """`#` must be percent-encoded by the caller, and the error says so."""
    error = (await keepsake.chat("Hi", user="ada#EXT#@contoso.example")).json()["error"]
    assert (error["code"], "percent-encode" in error["message"]) == ("invalid_id", True)


async def test_turns_are_listed_newest_first(keepsake: Keepsake) -> None:
    """`order=desc` pages backwards, each turn once."""
    for n in range(5):
        await keepsake.chat(f"Message {n}")
    seqs: list[int] = []
    link: str | None = "/api/sessions/s/turns?order=desc&limit=2"
    while link:
        page = await keepsake.get(link.removeprefix("/api"))
        seqs += [turn["seq"] for turn in page["value"]]
        link = page.get("next_link")
    assert seqs == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("path", ["/sessions", "/sessions/s/turns", "/preferences"])
async def test_an_unknown_query_parameter_is_refused(keepsake: Keepsake, path: str) -> None:
    """A misspelt parameter is an error, as a misspelt field is."""
    async with keepsake.client() as client:
        answer = await client.get(f"{path}?ordre=desc")
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, "ordre")


async def test_a_session_of_data_alone_is_a_session(keepsake: Keepsake) -> None:
    """It is listed, readable and deletable, and its data is listed with size and expiry."""
    async with keepsake.client() as client:
        await client.put("/sessions/d/data/cart", json={"value": [1]})
        (listed,) = (await client.get("/sessions")).json()["value"]
        (data,) = (await client.get("/sessions/d/data")).json()["value"]
        statuses = [
            (await client.request(method, "/sessions/d")).status_code
            for method in ("GET", "DELETE", "GET")
        ]
    assert (listed["session_id"], listed["turn_count"]) == ("d", 0)
    assert (data["name"], data["bytes"] > 0, "expires_at" in data) == ("cart", True, True)
    assert (statuses[0], statuses[2]) == (200, 404)


@pytest.mark.parametrize("field", ["namespace", "metadata"])
async def test_a_field_without_effect_is_refused(keepsake: Keepsake, field: str) -> None:
    """What would do nothing is not accepted."""
    answer = await keepsake.chat("Hi", **{field: "x"})
    assert (answer.status_code, answer.json()["error"]["target"]) == (400, field)


async def test_the_messages_of_a_tool_loop_are_taken_as_sdks_dump_them_f55(
    keepsake: Keepsake, model: ModelServer
) -> None:
    """The reply with its calls, the results, a developer's instructions and the user's text."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    model.script.append(Behaviour(text="", tool_calls=[call], finish_reason="tool_calls"))
    await keepsake.chat("Look outside", tools=[tool])
    messages = [
        {"role": "developer", "content": "Be brief."},
        DUMP | {"content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Rain"},
        {"role": "user", "content": [{"type": "text", "text": "And tomorrow?"}], "name": "ada"},
    ]
    answer = await keepsake.chat(None, messages=messages, tools=[tool])
    assert answer.status_code == 200, answer.text
    sent = model.requests[-1]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "user"]
    assert sent[0]["content"].endswith("Be brief.")
    assert (sent[3]["content"], sent[4]["content"]) == ("Rain", "And tomorrow?")


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"role": "assistant", "content": "Hi"}, "earlier replies"),
        ({"role": "tool", "content": "Rain"}, "tool_call_id"),
        ({"role": "user", "content": ""}, "text in content"),
        ({"role": "critic", "content": "Hm"}, "'system', 'user', 'assistant' or 'tool'"),
    ],
)
async def test_a_message_that_chat_does_not_take_is_explained_f55(
    keepsake: Keepsake, message: dict[str, Any], says: str
) -> None:
    """Nothing that a caller sends is silently without effect."""
    answer = await keepsake.chat("Hello", messages=[message])
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


async def test_session_ids_with_other_characters_are_encoded_by_the_caller_f55(
    keepsake: Keepsake,
) -> None:
    """The error says how; the encoded id is one id like any other, and is never decoded."""
    refused = await keepsake.chat("Hello", session_id="projects/7")
    accepted = await keepsake.chat("Hello", session_id="projects~2F7")
    assert (refused.status_code, accepted.status_code) == (400, 200)
    assert "/ as ~2F" in refused.json()["error"]["message"]
    assert len(await keepsake.transcript("projects~2F7")) == 1
