"""The app behind the functions, imported and built beside the first request: no instance is indexed slower for it.

Indexing imports this module, so at its top stands nothing that grows with routes, services or schemas (ADR 18).
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
    """What there is once it is built: the application behind HTTP, what runs without a caller, what both stand on."""

    api: "FastAPI"
    background: "Background"
    composition: "Composition"


class LateApp:
    """The app of one worker: there at once, and whoever needs what it is made of waits until that is there, too."""

    def __init__(self, settings: Settings) -> None:
        """Keep the settings and import nothing.

        Raises:
            SettingsError: there is no queue.
        """
        settings.require_queue()
        self._settings = settings
        self._app: App | None = None
        self._building = threading.Lock()

    def prefetch(self) -> None:
        """Do in a thread, beside the first request, what that would else wait for: first the app, then its SDKs."""
        with paused_garbage_collector():
            self._build().composition.prefetch()

    async def ready(self) -> App:
        """The app. It is built in a thread, so that the loop goes on; what failed is tried again by the next call."""
        if self._app is not None:
            return self._app
        return await asyncio.to_thread(self._build)

    async def serve(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Serve one request as an ASGI application does, and let it know when it came: it may have waited here."""
        scope.setdefault("state", {})["came"] = time.perf_counter()
        app = await self.ready()
        await app.api(scope, receive, send)

    def _build(self) -> App:
        with self._building:
            if self._app is None:
                self._app = _make(self._settings)
            return self._app


def _make(settings: Settings) -> App:
    from shared.bootstrap.background import Background  # noqa: PLC0415 - this module is imported by indexing, these are not
    from shared.bootstrap.composition import Composition  # noqa: PLC0415
    from shared.http.app import create_api  # noqa: PLC0415

    composition = Composition(settings)
    return App(create_api(composition), Background(composition), composition)
