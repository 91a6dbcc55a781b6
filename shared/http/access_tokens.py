"""Verification of Microsoft Entra ID access tokens."""

from typing import Any

import jwt

from shared.domain.errors import PrincipalRequired, StoreUnavailable
from shared.settings import Settings

CLOCK_SKEW = 60  # seconds of tolerance for a token's times
KEYS_TTL = 3600  # seconds; an unknown key is fetched at once, but at most every 30 seconds


class TokenVerifier:
    """Verifies tokens for this API. Fetches signing keys with blocking I/O: call it in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._authority = settings.entra_authority
        self._audience = settings.entra_audience
        self._tenants = frozenset(settings.entra_tenant_ids)
        self._keys = jwt.PyJWKClient(
            f"{self._authority}/common/discovery/v2.0/keys", lifespan=KEYS_TTL, timeout=3
        )

    def verify(self, token: str) -> dict[str, Any]:
        """Verify signature, issuer, audience, expiry and tenant; returns the claims.

        Raises:
            PrincipalRequired: the token is not valid for this API.
            StoreUnavailable: the signing keys cannot be fetched.
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
        except jwt.PyJWKClientConnectionError as failed:
            raise StoreUnavailable(
                "Entra ID's signing keys cannot be fetched; send the same request again",
                retry_after=5,
            ) from failed
        except jwt.PyJWTError as invalid:
            raise PrincipalRequired(
                "The token is not valid for this API; get a new one"
            ) from invalid
        return claims

    def _allowed_tenant(self, token: str) -> str:
        """The tenant that the unverified token claims, if allowed; verification checks it next."""
        tenant = jwt.decode(token, options={"verify_signature": False}).get("tid")
        if not isinstance(tenant, str) or tenant not in self._tenants:
            raise jwt.InvalidIssuerError("tenant")
        return tenant
