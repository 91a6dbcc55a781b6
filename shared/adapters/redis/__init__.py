"""The session cache in Redis."""
