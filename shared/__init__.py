"""Keepsake: everything that is deployed, apart from `function_app.py`."""

__version__ = "0.1.0"  # the only place that states it
