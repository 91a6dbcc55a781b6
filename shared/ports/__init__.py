"""Ports: what the services need from outside, as Protocols; shared/adapters implements them."""
