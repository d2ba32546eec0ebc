"""Pure units: no Home Assistant, no wire."""
