"""Who may ask: the account key, or an Entra token that is not refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from email.utils import formatdate
from urllib.parse import quote, unquote

from cosmos_local.errors import Refusal
from cosmos_local.wire import WireRequest

# The key of Microsoft's own emulator: public, the same everywhere, and worth nothing.
LOCAL_KEY = (
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
)
NOT_BY_TOKEN = 5300
_JWT_PARTS = 3


@dataclass
class Authority:
    """Checks the authorization header of every request."""

    key: str = LOCAL_KEY
    entra: bool = True

    def check(self, request: WireRequest) -> None:
        """Answer 401, or 403 for what data-plane roles may not do."""
        header = unquote(request.headers.get("authorization", ""))
        fields = dict(part.split("=", 1) for part in header.split("&") if "=" in part)
        if fields.get("type") == "aad":
            self._check_token(request, fields.get("sig", ""))
        elif (
            fields.get("type") != "master"
            or fields.get("ver") != "1.0"
            or not self._is_signed(request, fields)
        ):
            raise _unauthorized(
                "The wrong key is being used or the expected payload is not built as per the protocol."
            )

    def _check_token(self, request: WireRequest, token: str) -> None:
        if (
            not self.entra
            or not request.base.startswith("https:")
            or len(token.split(".")) != _JWT_PARTS
        ):
            raise _unauthorized("The Entra token is not accepted.")
        segments = request.segments
        administers = request.method in ("POST", "PUT", "DELETE") and request.kind == "metadata"
        reads = request.flag("x-ms-documentdb-isquery") or segments[-1:] == ["partitionkeydelete"]
        if administers and not reads:
            name = f"{request.method} /{'/'.join(segments)}"
            raise Refusal(
                403,
                f"The request {name} cannot be authorized by an Entra token in data plane.",
                NOT_BY_TOKEN,
            )

    def _is_signed(self, request: WireRequest, fields: dict[str, str]) -> bool:
        date = request.headers.get("x-ms-date", "").lower()
        http_date = request.headers.get("date", "").lower() if not date else ""
        resource_types, link = _resource(request.segments)
        try:
            given = base64.b64decode(fields.get("sig", ""), validate=True)
        except (binascii.Error, ValueError):
            return False
        texts = [
            f"{request.method.lower()}\n{kind}\n{link}\n{date}\n{http_date}\n"
            for kind in resource_types
        ]
        return bool(date or http_date) and any(
            hmac.compare_digest(_digest(self.key, text), given) for text in texts
        )


def sign(method: str, path: str, key: str) -> dict[str, str]:
    """Return the headers that authorize a request, for callers without an SDK."""
    date = formatdate(usegmt=True)
    resource_types, link = _resource(WireRequest(method, path, {}, b"").segments)
    text = f"{method.lower()}\n{resource_types[0]}\n{link}\n{date.lower()}\n\n"
    signature = base64.b64encode(_digest(key, text)).decode()
    return {
        "x-ms-date": date,
        "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe=""),
    }


def _digest(key: str, text: str) -> bytes:
    return hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()


def _resource(segments: list[str]) -> tuple[tuple[str, ...], str]:
    """Return the resource type and link that were signed; SDKs disagree about the type of a partition's deletion."""
    if segments[-2:] == ["operations", "partitionkeydelete"]:
        return ("partitionkey", "colls"), "/".join(segments[:-2])
    if len(segments) % 2:
        return (segments[-1].lower(),), "/".join(segments[:-1])
    if not segments:
        return ("",), ""
    link = segments[1].lower() if segments[0] == "offers" else "/".join(segments)
    return (segments[-2].lower(),), link


def _unauthorized(reason: str) -> Refusal:
    return Refusal(401, f"The input authorization token can't serve the request. {reason}")
