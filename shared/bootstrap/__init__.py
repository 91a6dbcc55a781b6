"""What each worker owns, and how it starts."""
