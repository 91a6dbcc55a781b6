"""Authorization: by the account key, or by an Entra token that is not refused."""

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
                "The wrong key is being used or the expected payload is not built as per the "
                "protocol."
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
        reads = request.is_query or segments[-1:] == ["partitionkeydelete"]
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
        try:
            given = base64.b64decode(fields.get("sig", ""), validate=True)
        except (binascii.Error, ValueError):
            return False
        texts = [
            f"{request.method.lower()}\n{kind}\n{link}\n{date}\n{http_date}\n"
            for kind, link in _resources(request.segments)
        ]
        return bool(date or http_date) and any(
            hmac.compare_digest(_digest(self.key, text), given) for text in texts
        )


def sign(method: str, path: str, key: str) -> dict[str, str]:
    """Return the headers that authorize a request, for callers without an SDK."""
    date = formatdate(usegmt=True)
    kind, link = _resources(WireRequest(method, path, {}, b"").segments)[0]
    text = f"{method.lower()}\n{kind}\n{link}\n{date.lower()}\n\n"
    signature = base64.b64encode(_digest(key, text)).decode()
    return {
        "x-ms-date": date,
        "authorization": quote(f"type=master&ver=1.0&sig={signature}", safe=""),
    }


def _digest(key: str, text: str) -> bytes:
    return hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()


def _resources(segments: list[str]) -> list[tuple[str, str]]:
    """Return the resource types and links that may have been signed for a path.

    A link by resource id is signed as that id alone, in lower case. SDKs disagree about the type
    of a partition's deletion.
    """
    if segments[-2:] == ["operations", "partitionkeydelete"]:
        owner = segments[:-2]
        kinds = ["partitionkey", "colls"]
    elif len(segments) % 2:
        owner = segments[:-1]
        kinds = [segments[-1].lower()]
    else:
        owner = segments
        kinds = [segments[-2].lower()] if segments else [""]
    by_id = owner[-1].lower() if owner else ""
    return [(kind, link) for link in ("/".join(owner), by_id) for kind in kinds]


def _unauthorized(reason: str) -> Refusal:
    return Refusal(401, f"The input authorization token can't serve the request. {reason}")
