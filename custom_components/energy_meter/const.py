"""Names shared across the integration."""

from typing import Final

DOMAIN: Final = "energy_meter"

# What a config entry (a link) is made of, next to homeassistant.const's host, port and device.
CONF_TRANSPORT: Final = "transport"
TRANSPORT_SIMULATED: Final = "simulated"
"""The transport without a wire; the others are those of `sources.modbus.link`."""
CONF_BAUDRATE: Final = "baudrate"
CONF_BYTESIZE: Final = "bytesize"
CONF_PARITY: Final = "parity"
CONF_STOPBITS: Final = "stopbits"

# What a meter's subentry is made of.
SUBENTRY_METER: Final = "meter"
CONF_PROFILE: Final = "profile"
CONF_UNIT_ID: Final = "unit_id"
CONF_IDENTITY: Final = "identity"
"""What entities and the device are known by: maker and serial number, else a random id."""
CONF_SERIAL_NUMBER: Final = "serial_number"
CONF_ROLE: Final = "role"
CONF_INSIDE: Final = "inside"
"""For the role `device`: the identity of the meter that measures this one's consumption too."""
CONF_RATED_CURRENT: Final = "rated_current"
CONF_FAST_INTERVAL: Final = "fast_interval"
CONF_COUNTER_INTERVAL: Final = "counter_interval"
CONF_SLOW_INTERVAL: Final = "slow_interval"
CONF_INVERT: Final = "invert"
CONF_VARIANT: Final = "variant"
CONF_WORD_ORDER: Final = "word_order"
CONF_BASE_ADDRESS: Final = "base_address"
CONF_AREA: Final = "area"
CONF_ENERGY_DASHBOARD: Final = "energy_dashboard"
"""Whether the user wants the meter in the Energy dashboard."""
CONF_PRODUCTION: Final = "production"
"""For the roles `solar` and `battery`: which counter counts what comes out of them."""
PRODUCTION_IMPORT: Final = "import"
PRODUCTION_EXPORT: Final = "export"

ROLE_GRID: Final = "grid"
ROLE_HOME: Final = "home"
ROLE_SOLAR: Final = "solar"
ROLE_BATTERY: Final = "battery"
ROLE_DEVICE: Final = "device"
ROLE_NONE: Final = "none"
ROLES: Final = (ROLE_GRID, ROLE_HOME, ROLE_SOLAR, ROLE_BATTERY, ROLE_DEVICE, ROLE_NONE)

DEFAULT_FAST_INTERVAL: Final = 5.0
DEFAULT_COUNTER_INTERVAL: Final = 30.0
DEFAULT_SLOW_INTERVAL: Final = 60.0
