"""Who is calling, and for which user: the one place where a UserId is made of what a request brings."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol, assert_never

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
    """The user whose data it is, and who acts for them (the same id when a person acts for themself)."""

    user: UserId
    actor: str


class Authenticator(Protocol):
    """Turns a request into a principal."""

    async def authenticate(self, request: Request) -> Principal:
        """Verify who calls.

        Raises:
            PrincipalRequired: nobody is proven.
            Forbidden: somebody is, who may not act for this user.
        """
        ...


async def require_principal(request: Request) -> Principal:
    """The verified principal of this request."""
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.authenticate(request)
    current_notes().note_principal(principal.actor, principal.user.value)
    return principal


async def require_user(principal: Annotated[Principal, Depends(require_principal)]) -> UserId:
    """The user of this request."""
    return principal.user


CurrentUser = Annotated[UserId, Depends(require_user)]


def make_authenticator(settings: Settings) -> Authenticator:
    """The authenticator of this app's AUTH_MODE."""
    match settings.auth_mode:
        case AuthMode.LOCAL:
            return LocalAuthenticator()
        case AuthMode.KEY:
            return KeyAuthenticator()
        case AuthMode.ENTRA:
            return EntraAuthenticator(settings)
    assert_never(settings.auth_mode)


class LocalAuthenticator:
    """A laptop's: the header names the user, and only a loopback Host is served (a page of another site is not)."""

    _LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

    async def authenticate(self, request: Request) -> Principal:
        """Take the header's word."""
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._LOOPBACK:
            raise Forbidden("AUTH_MODE=local serves 127.0.0.1 and localhost only")
        return Principal(_named_user(request), actor="local")


class KeyAuthenticator:
    """A service that holds the Functions key, which the platform has checked: the header names the user."""

    async def authenticate(self, request: Request) -> Principal:
        """Take the header's word, but only from the Functions host: nobody else has looked at a key."""
        if not getattr(request.state, "invocation_id", None):
            raise Forbidden(
                "AUTH_MODE=key is served by the Functions host only, which checks the key"
            )
        return Principal(_named_user(request), actor="key")


class EntraAuthenticator:
    """Microsoft Entra ID: a person's token is the person; an allowed app's token acts for a user of its tenant."""

    def __init__(self, settings: Settings) -> None:
        """Take the tenants, audience and apps that are allowed."""
        self._settings = settings
        self._apps = frozenset(settings.entra_acting_client_ids)
        self._verifier: TokenVerifier | None = None

    async def authenticate(self, request: Request) -> Principal:
        """Verify the bearer token and what it entitles to."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise PrincipalRequired("Send an Entra ID access token: Authorization: Bearer ...")
        claims = await self._verify(token)
        if claims.get("scp"):
            return self._person(request, claims)
        return self._app(request, claims)

    def _person(self, request: Request, claims: dict[str, Any]) -> Principal:
        own = _claimed_user(claims, str(claims["oid"]))
        if _header_user(request) not in {None, own}:
            raise Forbidden(f"A person's token acts for that person only; leave {USER_HEADER} out")
        return Principal(own, actor=own.value)

    def _app(self, request: Request, claims: dict[str, Any]) -> Principal:
        app = str(claims.get("azp", ""))
        roles = claims.get("roles", ())
        if app not in self._apps or not isinstance(roles, list) or ACT_ON_BEHALF not in roles:
            raise Forbidden(
                f"This app may not act for users: it needs the role {ACT_ON_BEHALF} and to be allowed"
            )
        named = _header_user(request)
        if named is None:
            raise PrincipalRequired(
                f"An app says for which user it acts: send the header {USER_HEADER}"
            )
        return Principal(_claimed_user(claims, named.value), actor=app)

    async def _verify(self, token: str) -> dict[str, Any]:
        if self._verifier is None:
            self._verifier = await asyncio.to_thread(_make_verifier, self._settings)
        return await asyncio.to_thread(self._verifier.verify, token)


def _make_verifier(settings: Settings) -> "TokenVerifier":
    from shared.http.access_tokens import TokenVerifier  # noqa: PLC0415 - cryptography is no part of a cold start

    return TokenVerifier(settings)


def _named_user(request: Request) -> UserId:
    user = _header_user(request)
    if user is None:
        raise PrincipalRequired(f"No user is named; send the header {USER_HEADER}")
    return user


def _header_user(request: Request) -> UserId | None:
    given = request.headers.getlist(USER_HEADER)
    if len(given) > 1:
        raise PrincipalRequired(
            f"The header {USER_HEADER} was sent twice; send it once", target=USER_HEADER
        )
    return _make_user(given[0]) if given else None


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
