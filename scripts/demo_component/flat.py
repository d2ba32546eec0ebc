"""The flat of the story about load shedding, as devices that Home Assistant has from somebody else."""

from collections.abc import Callable
from datetime import datetime, timedelta
import time
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from . import story

INTERVAL: Final = timedelta(seconds=1)


class Flat:
    """The clock of the story, and what is switched on in it."""

    def __init__(self, *, fast: bool) -> None:
        """Begin: with a fast day, an hour before supper; else at the time that it is."""
        self.heater_on = True
        self.car_on = True
        self._fast = fast
        self._began = time.monotonic()
        self._listeners: list[Callable[[], None]] = []

    @property
    def minute(self) -> float:
        """The minute of the day."""
        if not self._fast:
            now = dt_util.now()
            return now.hour * 60 + now.minute + now.second / 60
        passed = (time.monotonic() - self._began) * story.FAST / 60
        return (story.FIRST_MINUTE + passed) % story.MINUTES

    @property
    def heater(self) -> float:
        """What the water heater takes, W."""
        return story.heater(self.minute, on=self.heater_on)

    @property
    def car(self) -> float:
        """What the car takes, W."""
        return story.car(self.minute, on=self.car_on)

    @property
    def supply(self) -> float:
        """What the flat takes from the grid, W."""
        return story.house(self.minute) + self.heater + self.car

    @callback
    def async_listen(self, update: Callable[[], None]) -> CALLBACK_TYPE:
        """Call `update` every second, and when something was switched."""
        self._listeners.append(update)
        return lambda: self._listeners.remove(update)

    @callback
    def async_changed(self) -> None:
        """Tell everybody."""
        for update in tuple(self._listeners):
            update()

    @callback
    def _async_tick(self, _now: datetime) -> None:
        self.async_changed()

    @callback
    def async_run(self, hass: HomeAssistant) -> None:
        """Let time pass until Home Assistant ends."""
        async_track_time_interval(
            hass,
            self._async_tick,
            INTERVAL,
            name="energy meter demo flat",
            cancel_on_shutdown=True,
        )


DATA_FLAT: HassKey[Flat] = HassKey("energy_meter_demo_flat")
