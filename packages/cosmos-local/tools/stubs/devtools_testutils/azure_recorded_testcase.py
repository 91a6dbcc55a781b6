"""Stands in for the module of the same name in the SDK's repository."""

from __future__ import annotations


def get_credential(**_: object) -> None:
    """Return nothing: an emulator is used with its key."""
