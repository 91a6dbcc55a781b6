"""Which functions the platform's keys guard: the one place where AUTH_MODE decides the level."""

from azure.functions import AuthLevel

from shared.settings import AuthMode, Settings


def user_level(settings: Settings) -> AuthLevel:
    """For a user's operations: with AUTH_MODE=key the key is the gate, else our own check of the principal."""
    return AuthLevel.FUNCTION if settings.auth_mode is AuthMode.KEY else AuthLevel.ANONYMOUS


def operator_level(settings: Settings) -> AuthLevel:
    """For readiness, documentation and OpenAPI: never anonymous in Azure."""
    return AuthLevel.ANONYMOUS if settings.auth_mode is AuthMode.LOCAL else AuthLevel.FUNCTION
