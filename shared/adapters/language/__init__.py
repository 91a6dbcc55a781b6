"""Tokenisation."""
