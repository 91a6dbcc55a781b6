"""Access tokens of Microsoft Entra ID: issuer, audience, signature, expiry and tenant, or refused."""

from typing import Any

import jwt

from shared.domain.errors import PrincipalRequired, StoreUnavailable
from shared.settings import Settings

CLOCK_SKEW = 60  # seconds a token's times may be off
KEYS_LIVE = 3600  # seconds signing keys are kept; an unknown key is looked up at once, but not twice in half a minute


class TokenVerifier:
    """Verifies tokens for this API. It may wait for the signing keys: call it in a thread."""

    def __init__(self, settings: Settings) -> None:
        """Take who may issue tokens, and for whom."""
        self._authority = settings.entra_authority
        self._audience = settings.entra_audience
        self._tenants = frozenset(settings.entra_tenant_ids)
        self._keys = jwt.PyJWKClient(
            f"{self._authority}/common/discovery/v2.0/keys", lifespan=KEYS_LIVE, timeout=3
        )

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a valid token.

        Raises:
            PrincipalRequired: it is not valid here.
            StoreUnavailable: the signing keys cannot be read.
        """
        try:
            tenant = self._allowed_tenant(token)
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token),
                algorithms=["RS256"],
                audience=self._audience,
                issuer=f"{self._authority}/{tenant}/v2.0",
                leeway=CLOCK_SKEW,
                options={"require": ["exp", "iss", "aud", "tid", "oid"]},
            )
        except jwt.PyJWKClientConnectionError as down:
            raise StoreUnavailable(
                "Entra ID's signing keys cannot be read; try again", retry_after=5
            ) from down
        except jwt.PyJWTError as invalid:
            raise PrincipalRequired(
                "The token is not valid here; get a new one for this API"
            ) from invalid
        return claims

    def _allowed_tenant(self, token: str) -> str:
        """The tenant the token says it is from, if it is allowed; the signature is checked against its issuer next."""
        tenant = jwt.decode(token, options={"verify_signature": False}).get("tid")
        if not isinstance(tenant, str) or tenant not in self._tenants:
            raise jwt.InvalidIssuerError("tenant")
        return tenant
