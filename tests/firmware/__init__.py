"""Firmware, run on simulators."""
