"""Checks infra/ without Azure and without the Bicep compiler: syntax, types, wiring, names, policy."""
