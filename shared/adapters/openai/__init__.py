"""Chat and embedding models behind the OpenAI API."""
