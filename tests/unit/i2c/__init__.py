"""Monitors on an I²C bus: the register map, the bus, the hub."""
