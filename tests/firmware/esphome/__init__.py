"""The ESPHome configurations that come with the project."""
