"""The application behind the functions, imported and built after the host has indexed them.

Indexing imports this module, so its top-level imports must not grow with routes, services and
schemas (ADR 18).
"""

import asyncio
import threading
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.bootstrap.startup import paused_garbage_collector
from shared.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from shared.bootstrap.background import Background
    from shared.bootstrap.composition import Composition


@dataclass(frozen=True, slots=True)
class App:
    """The built app: the HTTP application, the background functions, and their composition."""

    api: "FastAPI"
    background: "Background"
    composition: "Composition"


class LateApp:
    """The app of one worker, built on first use or by the prefetch, whichever is earlier."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings; import nothing.

        Raises:
            SettingsError: QUEUE_ENDPOINT is not set.
        """
        settings.require_queue()
        self._settings = settings
        self._app: App | None = None
        self._building = threading.Lock()

    def prefetch(self) -> None:
        """Build the app and import its SDKs; called in a thread, parallel to the first request."""
        with paused_garbage_collector():
            self._build().composition.prefetch()

    async def ready(self) -> App:
        """The app, built in a thread if need be; after a failure the next call tries again."""
        if self._app is not None:
            return self._app
        return await asyncio.to_thread(self._build)

    async def serve(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI request; it may wait for the app, so the time of its arrival is noted."""
        scope.setdefault("state", {})["received_at"] = time.perf_counter()
        app = await self.ready()
        await app.api(scope, receive, send)

    def _build(self) -> App:
        with self._building:
            if self._app is None:
                self._app = _build_app(self._settings)
            return self._app


def _build_app(settings: Settings) -> App:
    # Imported here, because indexing imports this module.
    from shared.bootstrap.background import Background  # noqa: PLC0415
    from shared.bootstrap.composition import Composition  # noqa: PLC0415
    from shared.http.app import create_api  # noqa: PLC0415

    composition = Composition(settings)
    return App(create_api(composition), Background(composition), composition)
