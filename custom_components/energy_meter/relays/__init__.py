"""Relays of meters, bridges and monitors: when they may be switched, and who has switched them."""
