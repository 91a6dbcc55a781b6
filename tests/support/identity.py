"""A stand-in for Entra ID on loopback: keys, JWKS, and tokens of any kind."""

import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.serving import address_of, listen, serving

TENANT = "11111111-1111-1111-1111-111111111111"
OTHER_TENANT = "22222222-2222-2222-2222-222222222222"
AUDIENCE = "api://keepsake"
BOT = "33333333-3333-3333-3333-333333333333"


class Authority:
    """Signs tokens and serves the public keys."""

    def __init__(self) -> None:
        """Create a key pair."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.served = 0
        authority = self

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                authority.served += 1
                body = json.dumps({"keys": [authority.public_key()]}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def public_key(self) -> dict[str, Any]:
        """The key as the JWKS lists it."""
        return jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True) | {
            "kid": "k1",
            "use": "sig",
        }

    def token(self, *, key: rsa.RSAPrivateKey | None = None, **changed: Any) -> str:
        """A user's access token; a claim set to None is left out."""
        now = int(time.time())
        tenant = changed.get("tid", TENANT)
        claims = {
            "iss": f"{self.url}/{tenant}/v2.0",
            "aud": AUDIENCE,
            "exp": now + 600,
            "nbf": now - 10,
            "tid": TENANT,
            "oid": "ada",
            "scp": "access_as_user",
        } | changed
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self._key, algorithm="RS256", headers={"kid": "k1"})

    def app_token(self, **changed: Any) -> str:
        """A token of the allowed app, with the role to act for users."""
        return self.token(
            **({"scp": None, "oid": "bot", "azp": BOT, "roles": ["Memory.ActOnBehalf"]} | changed)
        )

    def __enter__(self) -> Self:
        """Serve the keys."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class ManagedIdentity:
    """The token endpoint that Azure Functions puts into an app's environment."""

    def __init__(self, token: str) -> None:
        """Issue this token to every caller."""
        self.requested: list[str] = []
        self._token = token
        self._front = listen(0)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that the platform sets."""
        return {
            "IDENTITY_ENDPOINT": f"{address_of(self._front)}/msi/token",
            "IDENTITY_HEADER": "secret",
        }

    async def __aenter__(self) -> Self:
        """Serve tokens."""
        self._serving = serving(Starlette(routes=[Route("/msi/token", self._give)]), self._front)
        await self._serving.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self._serving.__aexit__(kind, error, trace)

    async def _give(self, request: Request) -> Response:
        resource = request.query_params["resource"]
        self.requested.append(resource)
        if request.headers["x-identity-header"] != "secret":
            return JSONResponse({"message": "unknown caller"}, 400)
        expires_on = str(int(time.time()) + 3600)
        token = {
            "access_token": self._token,
            "expires_on": expires_on,
            "resource": resource,
            "token_type": "Bearer",
        }
        return JSONResponse(token)
