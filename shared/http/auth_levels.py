"""Authorization levels of the functions, by AUTH_MODE."""

from azure.functions import AuthLevel

from shared.settings import AuthMode, Settings


def user_level(settings: Settings) -> AuthLevel:
    """For a user's operations: a function key with AUTH_MODE=key, else we verify the principal."""
    return AuthLevel.FUNCTION if settings.auth_mode is AuthMode.KEY else AuthLevel.ANONYMOUS


def operator_level(settings: Settings) -> AuthLevel:
    """For readiness, documentation and OpenAPI: a function key, always in Azure."""
    return AuthLevel.ANONYMOUS if settings.auth_mode is AuthMode.LOCAL else AuthLevel.FUNCTION
