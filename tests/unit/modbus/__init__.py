"""Profiles, planner, line, search."""
