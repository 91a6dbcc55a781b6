"""Chat and embedding models with an OpenAI-compatible API."""
