"""The FastAPI application behind every HTTP function."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.telemetry import TelemetryConfig

from shared import __version__
from shared.bootstrap.composition import Composition
from shared.http.access_log import AccessLog
from shared.http.errors import install_error_handlers
from shared.http.openapi import complete
from shared.http.principal import make_authenticator
from shared.http.request_limits import RequestLimits
from shared.http.routers import chat, context, data, meta, preferences, sessions, turns, user

DESCRIPTION = (
    "Memory for AI agents: a turn that is sent twice is stored once and answered the same."
)
# FastAPI's own spans contain raw paths and query strings, its log records the text of exceptions
# (F36); AccessLog writes neither.
BUILT_IN_TELEMETRY: TelemetryConfig = {"tracing": False, "logs": False, "auto_configure": False}


class Api(FastAPI):
    """FastAPI with an OpenAPI document that lists only the errors that can occur."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, generated once."""
        if not self.openapi_schema:
            complete(super().openapi())
        return super().openapi()


def create_api(composition: Composition) -> FastAPI:
    """Create the application on one worker's composition."""
    api = Api(
        title="Keepsake",
        version=__version__,
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
    for path in ("/", "/docs"):  # outside the Functions host's prefix: for `make run`
        api.add_route(path, _to_docs, include_in_schema=False)
    install_error_handlers(api)
    api.add_middleware(RequestLimits)
    api.add_middleware(
        AccessLog,
        until_exporting=composition.until_exporting,
        count_spending=composition.count_spending,
    )
    return api


async def _to_docs(_: Request) -> Response:
    return RedirectResponse("/api/docs")
