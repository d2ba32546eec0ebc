"""Names shared across the integration."""

from typing import Final

DOMAIN: Final = "energy_meter"

# What kind of link a config entry is; Modbus lines have no kind in their data.
CONF_KIND: Final = "kind"
KIND_MODBUS: Final = "modbus"
KIND_BRIDGE: Final = "bridge"
KIND_LOAD_SHEDDING: Final = "load_shedding"
KIND_MESSENGER: Final = "messenger"

# How a bridge gets in, and what its entry is made of for each way.
CONF_WAY: Final = "way"
WAY_SERIAL: Final = "serial"
"""With a device and a speed."""
WAY_TCP: Final = "tcp"
"""With a host, a port and a pairing key."""
WAY_HTTP: Final = "http"
"""With a webhook's id, perhaps a key, and whether the local network alone is let in."""
WAY_MQTT: Final = "mqtt"
"""With a prefix of topics and the bridge's id."""
WAY_I2C: Final = "i2c"
"""With a bus of this computer and the addresses of its multiplexers."""
WAYS: Final = (WAY_SERIAL, WAY_TCP, WAY_HTTP, WAY_MQTT, WAY_I2C)
CONF_BUS: Final = "bus"
"""Its number, or `BUS_SIMULATED`."""
BUS_SIMULATED: Final = "simulated"
CONF_MULTIPLEXERS: Final = "multiplexers"
CONF_CIRCUITS: Final = "circuits"
"""How many circuits the simulated bus has."""
CONF_KEY: Final = "key"
CONF_LOCAL_ONLY: Final = "local_only"
CONF_PREFIX: Final = "prefix"
CONF_BRIDGE: Final = "bridge"
OPTION_REMOVED: Final = "removed"
"""Ids of the meters of a bridge that the user has removed; they do not come back by themselves."""

# What a Modbus line's config entry (a link) is made of, next to homeassistant.const's host, port and device.
CONF_TRANSPORT: Final = "transport"
TRANSPORT_SIMULATED: Final = "simulated"
"""The transport without a wire; the others are those of `sources.modbus.link`."""
CONF_BAUDRATE: Final = "baudrate"
CONF_BYTESIZE: Final = "bytesize"
CONF_PARITY: Final = "parity"
CONF_STOPBITS: Final = "stopbits"

# What a meter's subentry is made of.
SUBENTRY_METER: Final = "meter"
SUBENTRY_BRIDGE_METER: Final = "bridge_meter"
SUBENTRY_LIMIT: Final = "limit"
SUBENTRY_LOAD: Final = "load"
CONF_METER: Final = "meter"
"""For a meter of a bridge: the bridge's own id of it."""
CONF_ASSUMED_POWER_FACTOR: Final = "assumed_power_factor"
"""For a meter of a bridge that measures volts and amperes only; missing or 0: none."""
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

CONF_PHASE: Final = "phase"
"""For a circuit of a panel: the phase that it is on."""
PHASES: Final = ("l1", "l2", "l3")

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
