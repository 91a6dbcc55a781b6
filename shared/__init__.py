"""Keepsake as it is deployed."""
