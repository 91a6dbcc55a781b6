"""Programs for developers of Keepsake; never deployed."""
