"""The HTTP layer: FastAPI behind decorated functions."""
