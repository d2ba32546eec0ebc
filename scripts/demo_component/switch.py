"""Switches of the flat in the story about load shedding."""

from typing import Any, Final, override

from homeassistant.components.switch import SwitchEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddEntitiesCallback
from homeassistant.helpers.typing import ConfigType, DiscoveryInfoType

from .flat import DATA_FLAT, Flat

SWITCHES: Final = (("Water heater", "heater_on"), ("Car charger", "car_on"))


class FlatSwitch(SwitchEntity):
    """Something that can be switched off."""

    _attr_should_poll = False

    def __init__(self, flat: Flat, name: str, attribute: str) -> None:
        """Switch this."""
        self.flat = flat
        self._attribute = attribute
        self._attr_name = name
        self._attr_unique_id = name

    @property
    @override
    def is_on(self) -> bool:
        """Whether it is on."""
        on: bool = getattr(self.flat, self._attribute)
        return on

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Switch it on."""
        self._set(True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Switch it off."""
        self._set(False)

    def _set(self, on: bool) -> None:
        setattr(self.flat, self._attribute, on)
        self.async_write_ha_state()
        self.flat.async_changed()


async def async_setup_platform(
    hass: HomeAssistant,
    config: ConfigType,
    async_add_entities: AddEntitiesCallback,
    discovery_info: DiscoveryInfoType | None = None,
) -> None:
    """Add the flat's switches."""
    flat = hass.data[DATA_FLAT]
    async_add_entities(FlatSwitch(flat, name, attribute) for name, attribute in SWITCHES)
