"""Sensors of the flat in the story about load shedding."""

from collections.abc import Callable
from typing import Final, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorStateClass
from homeassistant.const import UnitOfPower
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddEntitiesCallback
from homeassistant.helpers.typing import ConfigType, DiscoveryInfoType

from . import story
from .flat import DATA_FLAT, Flat

POWERS: Final[tuple[tuple[str, Callable[[Flat], float]], ...]] = (
    ("Flat supply", lambda flat: flat.supply),
    ("Water heater power", lambda flat: flat.heater),
    ("Car power", lambda flat: flat.car),
)


class _FlatSensor(SensorEntity):
    _attr_should_poll = False

    def __init__(self, flat: Flat, name: str) -> None:
        self.flat = flat
        self._attr_name = name
        self._attr_unique_id = name

    @override
    async def async_added_to_hass(self) -> None:
        """Follow the flat."""
        self.async_on_remove(self.flat.async_listen(self.async_write_ha_state))


class PowerSensor(_FlatSensor):
    """What something takes."""

    _attr_device_class = SensorDeviceClass.POWER
    _attr_state_class = SensorStateClass.MEASUREMENT
    _attr_native_unit_of_measurement = UnitOfPower.WATT
    _attr_suggested_display_precision = 0

    def __init__(self, flat: Flat, name: str, value: Callable[[Flat], float]) -> None:
        """Show this."""
        super().__init__(flat, name)
        self._value = value

    @property
    @override
    def native_value(self) -> float:
        """Watts now."""
        return round(self._value(self.flat), 1)


class ClockSensor(_FlatSensor):
    """The time in the story."""

    _attr_icon = "mdi:clock-outline"

    @property
    @override
    def native_value(self) -> str:
        """Hours and minutes."""
        return story.clock(self.flat.minute)


async def async_setup_platform(
    hass: HomeAssistant,
    config: ConfigType,
    async_add_entities: AddEntitiesCallback,
    discovery_info: DiscoveryInfoType | None = None,
) -> None:
    """Add the flat's sensors."""
    flat = hass.data[DATA_FLAT]
    async_add_entities(
        [
            *(PowerSensor(flat, name, value) for name, value in POWERS),
            ClockSensor(flat, "Flat clock"),
        ]
    )
