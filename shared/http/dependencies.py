"""FastAPI dependencies: the services and settings of the application's composition."""

from typing import Annotated

from fastapi import Depends, Request

from shared.bootstrap.composition import Composition
from shared.bootstrap.services import Services
from shared.settings import Settings


async def current_services(request: Request) -> Services:
    """The worker's services; the first request that needs them builds them."""
    composition: Composition = request.app.state.composition
    return await composition.services()


async def current_settings(request: Request) -> Settings:
    """The worker's settings."""
    composition: Composition = request.app.state.composition
    return composition.settings


CurrentServices = Annotated[Services, Depends(current_services)]
CurrentSettings = Annotated[Settings, Depends(current_settings)]
