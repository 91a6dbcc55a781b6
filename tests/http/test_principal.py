"""Who is calling: tokens of people and apps, the laptop's header, and everything that is neither."""

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


@pytest.fixture
def session_cache() -> dict[str, Any]:
    """These promises do not depend on a session cache."""
    return {}


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    """The one who signs."""
    with Authority() as opened:
        yield opened


@pytest.fixture
async def guarded(
    cosmos: LocalCosmos, model: ModelServer, authority: Authority
) -> AsyncIterator[Keepsake]:
    """The application with AUTH_MODE=entra."""
    entra: dict[str, Any] = {
        "auth_mode": AuthMode.ENTRA,
        "entra_tenant_ids": (TENANT,),
        "entra_audience": AUDIENCE,
        "entra_authority": authority.url,
        "entra_acting_client_ids": (BOT,),
    }
    async with running(cosmos, model, **entra) as app:
        yield app


async def test_a_persons_token_is_the_person(
    guarded: Keepsake, authority: Authority, cosmos_rows: Rows
) -> None:
    """The user is tenant and object id of the token."""
    answer = await _chat(guarded, authority.token())
    assert answer.status_code == 200
    assert {row["user_id"] for row in cosmos_rows("turn")} == {f"{TENANT}.ada"}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
async def test_the_scheme_is_of_any_case(
    guarded: Keepsake, authority: Authority, scheme: str
) -> None:
    """As HTTP has it."""
    async with guarded.client(None) as client:
        answer = await client.get(
            "/preferences", headers={"authorization": f"{scheme} {authority.token()}"}
        )
    assert answer.status_code == 200


@pytest.mark.parametrize(("ago", "status"), [(30, 200), (120, 401)])
async def test_a_clock_may_be_a_minute_off(
    guarded: Keepsake, authority: Authority, ago: int, status: int
) -> None:
    """A token that ran out a moment ago by our clock may not have by Entra ID's; two minutes ago it has."""
    assert (await _chat(guarded, authority.token(exp=int(time.time()) - ago))).status_code == status


async def test_an_allowed_app_acts_for_a_user_of_its_tenant(
    guarded: Keepsake, authority: Authority, cosmos_rows: Rows
) -> None:
    """The header names the user; the tenant is the token's, always."""
    answer = await _chat(guarded, authority.app_token(), **{"x-user-id": "ada"})
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
        "old",
        "early",
        "audience",
        "issuer",
        "tenant",
        "no-tenant",
        "no-oid",
        "no-exp",
        "path",
        "line",
        "forged",
    ],
)
async def test_a_token_that_is_not_for_us_is_401_f39(
    guarded: Keepsake, authority: Authority, changed: dict[str, Any]
) -> None:
    """Expired, early, foreign, incomplete or forged: nobody is proven, and nothing is stored."""
    answer = await _chat(guarded, authority.token(**changed))
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "principal_required")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x.y.z", "Basic YTpi", "Bearer \u00e9"]
)
async def test_what_is_no_token_is_401(guarded: Keepsake, header: str) -> None:
    """A malformed Authorization header is 401, never an error of ours."""
    async with guarded.client(None) as client:
        answer = await client.get("/preferences", headers=[(b"authorization", header.encode())])
    assert answer.status_code == 401


async def test_an_unsigned_token_is_401(guarded: Keepsake, authority: Authority) -> None:
    """`alg: none` proves nothing."""
    claims = authority.token().split(".")[1]
    head = (
        base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "k1"}).encode())
        .decode()
        .rstrip("=")
    )
    assert (await _chat(guarded, f"{head}.{claims}.")).status_code == 401


async def test_a_person_cannot_name_another_user_f33(
    guarded: Keepsake, authority: Authority
) -> None:
    """A user header that differs from the token is 403."""
    answer = await _chat(guarded, authority.token(), **{"x-user-id": "ben"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "changed", [{"azp": "another"}, {"roles": []}, {"roles": None}, {"roles": "Memory.ActOnBehalf"}]
)
async def test_an_app_without_role_or_allowance_is_403_f33(
    guarded: Keepsake, authority: Authority, changed: dict[str, Any]
) -> None:
    """Both the role and the place on the list are needed."""
    assert (
        await _chat(guarded, authority.app_token(**changed), **{"x-user-id": "ada"})
    ).status_code == 403


@pytest.mark.parametrize(
    "named", [{}, {"x-user-id": ""}, {"x-user-id": "a b"}, {"x-user-id": "x" * 120}]
)
async def test_an_app_that_names_no_user_is_401(
    guarded: Keepsake, authority: Authority, named: dict[str, str]
) -> None:
    """There is no default user."""
    assert (await _chat(guarded, authority.app_token(), **named)).status_code == 401


async def test_signing_keys_are_fetched_once(guarded: Keepsake, authority: Authority) -> None:
    """Entra ID is not asked again for every request."""
    before = authority.served
    for _ in range(3):
        await _chat(guarded, authority.token())
    assert authority.served == before + 1


@pytest.mark.parametrize(
    "named", [{}, {"x-user-id": ""}, {"x-user-id": "a b"}, {"x-user-id": "a" * 129}]
)
async def test_on_a_laptop_the_user_must_be_named_too(
    keepsake: Keepsake, named: dict[str, str]
) -> None:
    """Without a user, or with a silly one, it is 401: there is no shared bucket."""
    async with keepsake.client(None) as client:
        answer = await client.get("/preferences", headers=named)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "principal_required")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:7071", "169.254.1.1", "", "localhost@evil"]
)
async def test_on_a_laptop_only_loopback_is_served(keepsake: Keepsake, host: str) -> None:
    """A page that had its name point at 127.0.0.1 is refused."""
    async with keepsake.client() as client:
        answer = await client.get("/preferences", headers={"host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7071", "localhost", "localhost:7071", "[::1]:7071", "[::1]"]
)
async def test_on_a_laptop_loopback_is_served(keepsake: Keepsake, host: str) -> None:
    """Every way to write loopback works."""
    async with keepsake.client() as client:
        assert (await client.get("/preferences", headers={"host": host})).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-functions-key": "any"}, {"x-ms-invocation-id": "any"}])
async def test_key_mode_serves_nobody_past_the_functions_host(
    cosmos: LocalCosmos, model: ModelServer, headers: dict[str, str]
) -> None:
    """Where no platform has checked a key, AUTH_MODE=key refuses whatever a caller sends along."""
    async with running(cosmos, model, auth_mode=AuthMode.KEY) as app, app.client() as client:
        answer = await client.get("/preferences", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


async def _chat(app: Keepsake, token: str, **headers: str) -> httpx.Response:
    async with app.client(None) as client:
        return await client.post(
            "/chat",
            json={"message": "Hello", "session_id": "s", "turn_id": "t"},
            headers={"authorization": f"Bearer {token}"} | headers,
        )


async def test_two_users_in_one_request_are_nobody(keepsake: Keepsake) -> None:
    """A header that a caller slipped in before the gateway's own does not choose the user."""
    headers = [("x-user-id", "mallory"), ("x-user-id", "ada")]
    async with keepsake.client(None) as client:
        answer = await client.get("/sessions", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "principal_required")
