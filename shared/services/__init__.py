"""Services: one folder or module for each thing that people do."""
