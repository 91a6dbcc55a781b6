"""The FastAPI application behind every HTTP function."""

from uuid import uuid4

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.composition import Composition
from shared.http.errors import install_error_handlers
from shared.http.principal import make_authenticator
from shared.http.routers import chat, meta, preferences, sessions, turns

MAX_BODY_BYTES = 2_097_152  # the largest legal turn, with every character escaped as JSON allows
DESCRIPTION = "The memory layer for agents: a turn sent twice is stored once and answered the same."


def create_api(composition: Composition) -> FastAPI:
    """The application over one worker's composition."""
    api = FastAPI(
        title="Keepsake",
        version="0.1.0",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY_BYTES,
    )
    api.state.composition = composition
    api.state.authenticator = make_authenticator(composition.settings)
    for router in (chat.router, sessions.router, turns.router, preferences.router, meta.router):
        api.include_router(router, prefix="/api")
    install_error_handlers(api)
    api.add_middleware(RequestIds)
    return api


class RequestIds:
    """Names every request in its answer; the Functions invocation id where there is one."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope.setdefault("state", {}).get("invocation_id") or str(uuid4())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-ms-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_named)
