"""Blueprints, loaded and run by a real Home Assistant."""
