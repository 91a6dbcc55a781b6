"""The FastAPI application behind every HTTP function."""

from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from shared.composition import Composition
from shared.http.edge import Edge
from shared.http.errors import install_error_handlers
from shared.http.observing import Observed
from shared.http.openapi import complete
from shared.http.principal import make_authenticator
from shared.http.routers import chat, context, data, meta, preferences, sessions, turns, user

DESCRIPTION = "The memory layer for agents: a turn sent twice is stored once and answered the same."
# FastAPI's own spans hold raw paths and query strings, its log records the text of exceptions (F36): Observed does it.
BUILT_IN_TELEMETRY: TelemetryConfig = {"tracing": False, "logs": False, "auto_configure": False}


class Api(FastAPI):
    """FastAPI, documenting only the errors that really leave it."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if not self.openapi_schema:
            complete(super().openapi())
        return super().openapi()


def create_api(composition: Composition) -> FastAPI:
    """The application over one worker's composition."""
    api = Api(
        title="Keepsake",
        version="0.1.0",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=BUILT_IN_TELEMETRY,
    )
    api.state.composition = composition
    api.state.authenticator = make_authenticator(composition.settings)
    for noun in (chat, context, sessions, turns, data, preferences, user, meta):
        api.include_router(noun.router, prefix="/api")
    install_error_handlers(api)
    api.add_middleware(Edge)
    api.add_middleware(Observed, until_exporting=composition.until_exporting)
    return api
