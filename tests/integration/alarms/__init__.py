"""Alarms in a running Home Assistant."""
