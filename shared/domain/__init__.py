"""The domain: pure, without I/O, clock or environment."""
