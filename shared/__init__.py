"""Keepsake as it is deployed."""

__version__ = "0.1.0"  # the only place that states it
