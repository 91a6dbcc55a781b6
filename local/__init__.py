"""What a laptop has instead of Azure; never deployed."""
