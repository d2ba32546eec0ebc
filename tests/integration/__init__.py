"""The integration in a running Home Assistant, with real counterparts on the wire."""
