"""Modbus meters: register profiles, the line's scheduler, the search for meters."""
