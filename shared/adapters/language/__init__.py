"""What depends on a language or an encoding."""
