"""Programs for developers of Keepsake; never deployed, and not used by `make run`."""
