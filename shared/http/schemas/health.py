"""Health on the wire."""

from typing import Literal

from pydantic import BaseModel


class HealthView(BaseModel):
    """The worker is running."""

    status: Literal["ok"] = "ok"


class CheckView(BaseModel):
    """The state of one dependency; `ms` is how long its answer took."""

    status: Literal["ok", "unavailable"]
    ms: float


class ReadinessView(BaseModel):
    """The state of every dependency, at most five seconds old."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, CheckView]
