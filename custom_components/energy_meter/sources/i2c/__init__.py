"""Single-circuit monitors on the I²C bus of the machine that Home Assistant runs on (`docs/i2c-monitor.md`)."""
