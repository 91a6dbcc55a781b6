"""Authentication: tokens of users and apps, the local header, and invalid credentials."""

import base64
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from cosmos_local import LocalCosmos
from shared.settings import AuthMode
from tests.conftest import Rows
from tests.support.app import Keepsake, running
from tests.support.identity import AUDIENCE, BOT, OTHER_TENANT, TENANT, Authority
from tests.support.model_server import ModelServer

pytestmark = pytest.mark.anyio
MALFORMED = [({"x-user-id": value}, 400) for value in ("", "a b", "a" * 129)]


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These tests do not depend on the session cache."""
    return {}


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    """An authority that signs tokens."""
    with Authority() as opened:
        yield opened


def entra_settings(authority: Authority) -> dict[str, Any]:
    """The settings of AUTH_MODE=entra, with this authority."""
    return {
        "auth_mode": AuthMode.ENTRA,
        "entra_tenant_ids": (TENANT,),
        "entra_audience": AUDIENCE,
        "entra_authority": authority.url,
        "entra_acting_client_ids": (BOT,),
    }


@pytest.fixture
async def entra_app(
    cosmos: LocalCosmos, model: ModelServer, authority: Authority
) -> AsyncIterator[Keepsake]:
    """The application with AUTH_MODE=entra."""
    async with running(cosmos, model, **entra_settings(authority)) as app:
        yield app


async def test_a_users_token_identifies_the_user(
    entra_app: Keepsake, authority: Authority, cosmos_rows: Rows
) -> None:
    """The user id consists of the token's tenant and object id."""
    answer = await _chat(entra_app, authority.token())
    assert answer.status_code == 200
    assert {row["user_id"] for row in cosmos_rows("turn")} == {f"{TENANT}.ada"}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_scheme_is_case_insensitive(
    entra_app: Keepsake, authority: Authority, scheme: str
) -> None:
    """Authentication schemes are case-insensitive, as in HTTP."""
    async with entra_app.client(None) as client:
        answer = await client.get(
            "/preferences", headers={"authorization": f"{scheme} {authority.token()}"}
        )
    assert answer.status_code == 200


@pytest.mark.parametrize(("expired_for", "status"), [(30, 200), (120, 401)])
async def test_token_expiry_allows_a_minute_of_clock_skew(
    entra_app: Keepsake, authority: Authority, expired_for: int, status: int
) -> None:
    """A token that expired 30 s ago is accepted, because clocks differ; after 120 s it is not."""
    assert (
        await _chat(entra_app, authority.token(exp=int(time.time()) - expired_for))
    ).status_code == status


async def test_an_allowed_app_acts_for_users_of_its_tenant(
    entra_app: Keepsake, authority: Authority, cosmos_rows: Rows
) -> None:
    """The header names the user; the tenant always comes from the token."""
    answer = await _chat(entra_app, authority.app_token(), **{"x-user-id": "ada"})
    assert answer.status_code == 200
    assert {row["user_id"] for row in cosmos_rows("turn")} == {f"{TENANT}.ada"}


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1},
        {"nbf": 4_000_000_000},
        {"aud": "api://another"},
        {"iss": "https://evil.example/v2.0"},
        {"tid": OTHER_TENANT},
        {"tid": None},
        {"oid": None},
        {"exp": None},
        {"oid": "a/b"},
        {"oid": "a\n"},
        {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
    ],
    ids=[
        "expired",
        "premature",
        "audience",
        "issuer",
        "tenant",
        "no-tenant",
        "no-oid",
        "no-exp",
        "slash-in-oid",
        "newline-in-oid",
        "forged",
    ],
)
async def test_an_invalid_token_is_401_f39(
    entra_app: Keepsake, authority: Authority, changed: dict[str, Any]
) -> None:
    """An expired, premature, foreign, incomplete or forged token is 401, and nothing is stored."""
    answer = await _chat(entra_app, authority.token(**changed))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "principal_required")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic YTpi", "Bearer \u00e9"]
)
async def test_a_malformed_authorization_header_is_401(entra_app: Keepsake, header: str) -> None:
    """A malformed Authorization header is 401, never 500."""
    async with entra_app.client(None) as client:
        answer = await client.get("/preferences", headers=[(b"authorization", header.encode())])
    assert answer.status_code == 401


async def test_an_unsigned_token_is_401(entra_app: Keepsake, authority: Authority) -> None:
    """A token with `alg: none` is 401."""
    claims = authority.token().split(".")[1]
    head = (
        base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "k1"}).encode())
        .decode()
        .rstrip("=")
    )
    assert (await _chat(entra_app, f"{head}.{claims}.")).status_code == 401


async def test_a_user_cannot_name_another_user_f33(
    entra_app: Keepsake, authority: Authority
) -> None:
    """A user header that differs from the token is 403."""
    answer = await _chat(entra_app, authority.token(), **{"x-user-id": "ben"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "changed", [{"azp": "another"}, {"roles": []}, {"roles": None}, {"roles": "Memory.ActOnBehalf"}]
)
async def test_an_app_without_role_or_permission_is_403_f33(
    entra_app: Keepsake, authority: Authority, changed: dict[str, Any]
) -> None:
    """An app needs both the role and a place on the allowlist."""
    assert (
        await _chat(entra_app, authority.app_token(**changed), **{"x-user-id": "ada"})
    ).status_code == 403


@pytest.mark.parametrize(("user_header", "status"), [({}, 401), *MALFORMED])
async def test_an_app_must_name_a_user(
    entra_app: Keepsake, authority: Authority, user_header: dict[str, str], status: int
) -> None:
    """There is no default user; a malformed user id is an invalid id, not a missing principal."""
    assert (await _chat(entra_app, authority.app_token(), **user_header)).status_code == status


async def test_signing_keys_are_fetched_once(entra_app: Keepsake, authority: Authority) -> None:
    """Entra ID is not asked on every request."""
    before = authority.served
    for _ in range(3):
        await _chat(entra_app, authority.token())
    assert authority.served == before + 1


async def test_local_mode_has_no_default_user(keepsake: Keepsake) -> None:
    """A request without a user is refused: there is no shared user."""
    async with keepsake.client(None) as client:
        answer = await client.get("/preferences")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "principal_required")


@pytest.mark.parametrize(("user_header", "status"), MALFORMED)
async def test_a_malformed_user_id_is_an_invalid_id(
    keepsake: Keepsake, user_header: dict[str, str], status: int
) -> None:
    """The error names the header, so that the caller does not look for a missing login."""
    async with keepsake.client(None) as client:
        answer = await client.get("/preferences", headers=user_header)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["target"]) == (
        status,
        "invalid_id",
        "x-user-id",
    )


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:7071", "169.254.1.1", "", "localhost@evil"]
)
async def test_local_mode_refuses_other_hosts(keepsake: Keepsake, host: str) -> None:
    """A page whose host name resolves to 127.0.0.1 (DNS rebinding) is refused."""
    async with keepsake.client() as client:
        answer = await client.get("/preferences", headers={"host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7071", "localhost", "localhost:7071", "[::1]:7071", "[::1]"]
)
async def test_local_mode_serves_loopback(keepsake: Keepsake, host: str) -> None:
    """Every spelling of loopback works."""
    async with keepsake.client() as client:
        assert (await client.get("/preferences", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-functions-key": "any"}, {"x-ms-invocation-id": "any"}])
async def test_key_mode_refuses_requests_that_bypass_the_functions_host(
    cosmos: LocalCosmos, model: ModelServer, headers: dict[str, str]
) -> None:
    """Without the Functions host to check keys, AUTH_MODE=key refuses every request."""
    async with running(cosmos, model, auth_mode=AuthMode.KEY) as app, app.client() as client:
        answer = await client.get("/preferences", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(("scopes", "status"), [("openid memory.use", 200), ("openid", 403)])
async def test_a_users_token_must_have_the_required_scope_f39(
    cosmos: LocalCosmos, model: ModelServer, authority: Authority, scopes: str, status: int
) -> None:
    """ENTRA_REQUIRED_SCOPE names the scope, which may be one of several in a token."""
    settings = entra_settings(authority) | {"entra_required_scope": "memory.use"}
    async with running(cosmos, model, **settings) as app:
        assert (await _chat(app, authority.token(scp=scopes))).status_code == status


async def _chat(app: Keepsake, token: str, **headers: str) -> httpx.Response:
    async with app.client(None) as client:
        return await client.post(
            "/chat",
            json={"message": "Hello", "session_id": "s", "turn_id": "t"},
            headers={"authorization": f"Bearer {token}"} | headers,
        )


async def test_two_user_headers_are_refused(keepsake: Keepsake) -> None:
    """A header that a caller slips in before the gateway's own does not choose the user."""
    headers = [("x-user-id", "mallory"), ("x-user-id", "ada")]
    async with keepsake.client(None) as client:
        answer = await client.get("/sessions", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "principal_required")
