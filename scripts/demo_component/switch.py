"""The switch of the car's wallbox, as if an integration of its maker had brought it."""

import time
from typing import Any, override

from homeassistant.components.switch import SwitchEntity
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddEntitiesCallback
from homeassistant.helpers.typing import ConfigType, DiscoveryInfoType

from custom_components.energy_meter.sources.simulated.circuit import Relay
from custom_components.energy_meter.sources.simulated.house import shared_house


class Wallbox(SwitchEntity):
    """Lets the car charge, or not."""

    _attr_should_poll = False
    _attr_name = "Wallbox"
    _attr_unique_id = "wallbox"
    _attr_icon = "mdi:ev-station"

    def __init__(self, relay: Relay) -> None:
        """Switch the car's relay in the simulated house."""
        self.relay = relay

    @property
    @override
    def is_on(self) -> bool:
        """Whether the car may charge."""
        return self.relay.is_on

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        """Let it charge."""
        self._set(True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        """Stop it."""
        self._set(False)

    def _set(self, on: bool) -> None:
        self.relay.switch(on, time.time())
        self.async_write_ha_state()


async def async_setup_platform(
    hass: HomeAssistant,
    config: ConfigType,
    async_add_entities: AddEntitiesCallback,
    discovery_info: DiscoveryInfoType | None = None,
) -> None:
    """Add the wallbox."""
    async_add_entities([Wallbox(shared_house().relays["car"])])
