"""Stands in for the module of the same name in the SDK's repository."""

from __future__ import annotations


def is_live() -> bool:
    """Say that the tests run against an emulator."""
    return False
