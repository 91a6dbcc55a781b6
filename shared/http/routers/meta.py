"""The service itself: health, the OpenAPI document, and the page that shows it."""

import asyncio
from importlib.util import find_spec
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from shared.domain import errors
from shared.http.dependencies import CurrentServices, CurrentSettings
from shared.http.errors import document_errors
from shared.http.openapi import for_mode
from shared.http.schemas.health import CheckView, HealthView, ReadinessView

router = APIRouter(tags=["service"])
Asset = Annotated[
    Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"],
    Path(description="The name of the file"),
]
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
AS_FILES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {kind: {} for kind in MEDIA_TYPES.values()}}
}


@router.head("/health", include_in_schema=False)
@router.get("/health", operation_id="read_health", summary="Alive")
async def read_health() -> HealthView:
    """Answer without checking any dependency."""
    return HealthView()


@router.head("/health/ready", include_in_schema=False)
@router.get(
    "/health/ready",
    operation_id="read_readiness",
    summary="Ready",
    responses={503: {"model": ReadinessView, "description": "A dependency does not answer"}},
)
async def read_readiness(services: CurrentServices, response: Response) -> ReadinessView:
    """Return every dependency with its latency in milliseconds, at most five seconds old."""
    checks = await services.health.check()
    ready = all(check.ok for check in checks)
    response.status_code = 200 if ready else 503
    return ReadinessView(
        status="ok" if ready else "unavailable",
        checks={
            check.name: CheckView(status="ok" if check.ok else "unavailable", ms=check.ms)
            for check in checks
        },
    )


@router.get("/openapi.json", operation_id="read_openapi", summary="OpenAPI document")
async def read_openapi(request: Request, settings: CurrentSettings) -> dict[str, Any]:
    """Return this document, with the ways to authenticate that are on here."""
    return for_mode(request.app.openapi(), settings.auth_mode)


@router.get("/docs", operation_id="read_docs", summary="Documentation", response_class=HTMLResponse)
async def read_docs(request: Request) -> HTMLResponse:
    """Show the OpenAPI document as a page; a function key in the query is passed on."""
    query = f"?{quote(request.url.query, safe='=&%')}" if request.url.query else ""
    return get_swagger_ui_html(
        openapi_url=f"openapi.json{query}",
        title="Keepsake",
        swagger_js_url=f"docs/swagger-ui-bundle.js{query}",
        swagger_css_url=f"docs/swagger-ui.css{query}",
        swagger_favicon_url=f"docs/favicon.png{query}",
    )


@router.get(
    "/docs/{asset}",
    operation_id="read_docs_asset",
    summary="A file of the documentation page",
    response_class=Response,
    responses=AS_FILES | document_errors(errors.InvalidRequest),
)
async def read_docs_asset(asset: Asset) -> Response:
    """Return the page's script, style or icon."""
    file = _assets() / asset
    content = await asyncio.to_thread(file.read_bytes)
    return Response(
        content,
        media_type=MEDIA_TYPES[file.suffix],
        headers={"Cache-Control": "public, max-age=86400"},
    )


def _assets() -> FilePath:
    package = find_spec("fastapi_offline")  # its files only: importing it would change FastAPI
    if package is None or package.origin is None:
        raise FileNotFoundError("fastapi-offline is not installed; it is in requirements.txt")
    return FilePath(package.origin).parent / "static"
