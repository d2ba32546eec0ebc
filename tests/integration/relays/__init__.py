"""Relays: interlock, record, and the actions for landlords."""
