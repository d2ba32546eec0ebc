"""The clock of the simulated house, which runs fast with `--fast`."""

from datetime import datetime, timedelta
import time
from typing import Final, override

from homeassistant.components.sensor import SensorEntity
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddEntitiesCallback
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.typing import ConfigType, DiscoveryInfoType

from custom_components.energy_meter.sources.simulated.house import House, shared_house

from . import story

INTERVAL: Final = timedelta(seconds=1)


class ClockSensor(SensorEntity):
    """The time in the house."""

    _attr_should_poll = False
    _attr_name = "House clock"
    _attr_unique_id = "clock"
    _attr_icon = "mdi:clock-outline"

    def __init__(self, house: House) -> None:
        """Show this house's."""
        self.house = house

    @override
    async def async_added_to_hass(self) -> None:
        """Go on until Home Assistant ends."""
        self.async_on_remove(
            async_track_time_interval(
                self.hass,
                self._tick,
                INTERVAL,
                name="energy meter demo clock",
                cancel_on_shutdown=True,
            )
        )

    @callback
    def _tick(self, _now: datetime) -> None:
        self.async_write_ha_state()

    @property
    @override
    def native_value(self) -> str:
        """Day, hours and minutes."""
        return story.clock(self.house.mains.pace.at(time.time()))


async def async_setup_platform(
    hass: HomeAssistant,
    config: ConfigType,
    async_add_entities: AddEntitiesCallback,
    discovery_info: DiscoveryInfoType | None = None,
) -> None:
    """Add the clock."""
    async_add_entities([ClockSensor(shared_house())])
