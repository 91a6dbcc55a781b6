"""Which functions the platform's keys guard: the one place where AUTH_MODE decides the level."""

from azure.functions import AuthLevel

from shared.settings import AuthMode, Settings


def user_level(settings: Settings) -> AuthLevel:  # noqa: ARG001 - each mode of today proves the user by itself
    """For a user's operations: our own check of the principal is the gate."""
    return AuthLevel.ANONYMOUS


def operator_level(settings: Settings) -> AuthLevel:
    """For readiness, documentation and OpenAPI: never anonymous in Azure."""
    return AuthLevel.ANONYMOUS if settings.auth_mode is AuthMode.LOCAL else AuthLevel.FUNCTION
