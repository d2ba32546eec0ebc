"""Messengers in a running Home Assistant."""
