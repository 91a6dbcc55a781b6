"""Summarising transcripts, without any I/O."""
