"""How near the integration comes to what the wire allows, beside Home Assistant's own `modbus` YAML."""
