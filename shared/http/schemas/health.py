"""Health on the wire."""

from typing import Literal

from pydantic import BaseModel


class HealthView(BaseModel):
    """Alive."""

    status: Literal["ok"] = "ok"


class CheckView(BaseModel):
    """One dependency."""

    status: Literal["ok", "unavailable"]
    ms: float


class ReadinessView(BaseModel):
    """Every dependency, asked at most five seconds ago."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, CheckView]
