"""Checks of infra/: what the compiler says of the templates, and what would be deployed."""
