"""Authentication: the only place where a request becomes a UserId."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, assert_never, cast

from fastapi import Depends, Request

from shared.domain.errors import Forbidden, InvalidId, PrincipalRequired
from shared.domain.ids import UserId
from shared.settings import AuthMode, Settings
from shared.telemetry.notes import current_notes

if TYPE_CHECKING:
    from shared.http.access_tokens import TokenVerifier

USER_HEADER = "x-user-id"
ACT_ON_BEHALF = "Memory.ActOnBehalf"


@dataclass(frozen=True, slots=True)
class Principal:
    """The user whose data it is, and the actor: the same id if users act for themselves."""

    user: UserId
    actor: str


class Authenticator(Protocol):
    """Authenticates the caller of a request."""

    async def authenticate(self, request: Request) -> Principal:
        """Verify the caller and its right to act for the user.

        Raises:
            PrincipalRequired: the request names no user, or its token is not valid.
            Forbidden: the caller may not act for this user.
        """
        ...


async def require_principal(request: Request) -> Principal:
    """The verified principal of this request; verified once, before its body is read."""
    if known := getattr(request.state, "principal", None):
        return cast("Principal", known)
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.authenticate(request)
    current_notes().note_principal(principal.actor, principal.user.value)
    request.state.user, request.state.principal = principal.user, principal
    return principal


async def require_user(principal: Annotated[Principal, Depends(require_principal)]) -> UserId:
    """The user of this request."""
    return principal.user


CurrentUser = Annotated[UserId, Depends(require_user)]


def make_authenticator(settings: Settings) -> Authenticator:
    """The authenticator for AUTH_MODE."""
    match settings.auth_mode:
        case AuthMode.LOCAL:
            return LocalAuthenticator()
        case AuthMode.KEY:
            return KeyAuthenticator()
        case AuthMode.ENTRA:
            return EntraAuthenticator(settings)
    assert_never(settings.auth_mode)


class LocalAuthenticator:
    """For development: the header names the user.

    The Host header must be loopback, so that a web page cannot call the API by DNS rebinding.
    """

    _LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

    async def authenticate(self, request: Request) -> Principal:
        """Trust the user header of a loopback request."""
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._LOOPBACK:
            raise Forbidden(
                "AUTH_MODE=local serves local requests only; use 127.0.0.1 or localhost"
            )
        return Principal(_named_user(request), actor="local")


class KeyAuthenticator:
    """For services with a function key, which the host checks: the header names the user."""

    async def authenticate(self, request: Request) -> Principal:
        """Trust the user header of a request that came through the Functions host."""
        if not getattr(request.state, "invocation_id", None):
            raise Forbidden(
                "AUTH_MODE=key works only behind the Functions host, which checks the key; "
                "send the request to the function app"
            )
        return Principal(_named_user(request), actor="key")


class EntraAuthenticator:
    """For Microsoft Entra ID tokens.

    A user's token acts for that user; an allowed app's token acts for any user of its tenant.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._apps = frozenset(settings.entra_acting_client_ids)
        self._verifier: TokenVerifier | None = None

    async def authenticate(self, request: Request) -> Principal:
        """Verify the bearer token and which user it may act for."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise PrincipalRequired("Send an Entra ID access token: Authorization: Bearer ...")
        claims = await self._verify(token)
        if claims.get("scp"):
            return self._authorize_user(request, claims)
        return self._authorize_app(request, claims)

    def _authorize_user(self, request: Request, claims: dict[str, Any]) -> Principal:
        scope = self._settings.entra_required_scope
        if scope not in str(claims["scp"]).split():
            raise Forbidden(f"The token does not have the scope {scope}; request one that has it")
        own = _claimed_user(claims, str(claims["oid"]))
        if _header_user(request) not in {None, own}:
            raise Forbidden(f"A user's token acts for that user only; leave out {USER_HEADER}")
        return Principal(own, actor=own.value)

    def _authorize_app(self, request: Request, claims: dict[str, Any]) -> Principal:
        app = str(claims.get("azp", ""))
        roles = claims.get("roles", ())
        if app not in self._apps or not isinstance(roles, list) or ACT_ON_BEHALF not in roles:
            raise Forbidden(
                f"This app may not act for users; grant it the role {ACT_ON_BEHALF} and add its "
                "client id to ENTRA_ACTING_CLIENT_IDS"
            )
        user = _header_user(request)
        if user is None:
            raise PrincipalRequired(
                f"An app's token does not name a user; send the header {USER_HEADER}"
            )
        return Principal(_claimed_user(claims, user.value), actor=app)

    async def _verify(self, token: str) -> dict[str, Any]:
        if self._verifier is None:
            self._verifier = await asyncio.to_thread(_make_verifier, self._settings)
        return await asyncio.to_thread(self._verifier.verify, token)


def _make_verifier(settings: Settings) -> "TokenVerifier":
    # Imported here, because importing cryptography would slow down a cold start.
    from shared.http.access_tokens import TokenVerifier  # noqa: PLC0415

    return TokenVerifier(settings)


def _named_user(request: Request) -> UserId:
    user = _header_user(request)
    if user is None:
        raise PrincipalRequired(f"The request names no user; send the header {USER_HEADER}")
    return user


def _header_user(request: Request) -> UserId | None:
    values = request.headers.getlist(USER_HEADER)
    if len(values) > 1:
        raise PrincipalRequired(
            f"The header {USER_HEADER} was sent more than once; send it once", target=USER_HEADER
        )
    return _make_user(values[0]) if values else None


def _make_user(value: str) -> UserId:
    try:
        return UserId(value)
    except InvalidId as invalid:
        raise InvalidId(invalid.message, target=USER_HEADER) from invalid


def _claimed_user(claims: dict[str, Any], name: str) -> UserId:
    try:
        return UserId(f"{claims['tid']}.{name}")
    except InvalidId as invalid:
        raise PrincipalRequired(
            "The token's tenant and user do not form a valid user id; get a new token"
        ) from invalid
