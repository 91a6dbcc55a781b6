"""Learning from transcripts, without any I/O."""
