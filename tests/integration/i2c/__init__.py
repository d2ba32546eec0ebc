"""A bus of monitors in Home Assistant."""
