"""Bridges in Home Assistant."""
