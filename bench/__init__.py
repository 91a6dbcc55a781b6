"""Benchmarks, each of them one command; docs/benchmarks.md has their results."""
