"""Checks of what would be deployed, as the snapshots say it."""
