"""Builders, servers and faults shared by several tests."""
