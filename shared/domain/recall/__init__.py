"""Finding what was said before, without any I/O."""
