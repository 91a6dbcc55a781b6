"""Ports in terms of one technology each; SDK errors end here."""
