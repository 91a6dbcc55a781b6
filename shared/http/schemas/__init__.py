"""The shapes on the wire, by noun: snake_case, closed, every string bounded."""
