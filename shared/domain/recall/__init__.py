"""Recall of earlier turns, without any I/O."""
