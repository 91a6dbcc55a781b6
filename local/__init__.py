"""What `make run` uses instead of Azure on a laptop; never deployed."""
