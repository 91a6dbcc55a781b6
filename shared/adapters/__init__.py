"""Adapters: the ports implemented with one technology each; SDK errors do not leave them."""
