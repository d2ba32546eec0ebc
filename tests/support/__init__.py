"""Counterparts and wires that tests and benchmarks share."""
