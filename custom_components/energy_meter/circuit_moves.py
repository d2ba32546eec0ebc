"""A monitor that hangs on another hub than before: its place in the configuration follows, and with it its history.

A monitor has an id of its own, the same wherever it hangs. So one that a hub reads, and that is set up at another hub
where it answers no more, has moved. Nothing moves on a hello alone, which may be an old one: there have to be readings.
"""

import time
from typing import Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState, ConfigSubentry
from homeassistant.core import HomeAssistant, callback

from .bridge_shape import MONITOR
from .const import CONF_METER, DOMAIN, SUBENTRY_BRIDGE_METER
from .flows.configured import ConfiguredMeter, hand_over
from .followers import async_follow_meters

PATIENCE: Final = 10.0
"""Seconds that a monitor is read here before it is taken over: at a start the other hub may be the slower one."""
TWIN: Final = 60.0
"""Seconds after which two hubs that both read it have two monitors with one id."""


class CircuitMoves:
    """The monitors that a hub reads and that are set up at another one."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        """Begin with none."""
        self.hass = hass
        self.entry = entry
        self._since: dict[str, float] = {}
        """{monitor: monotonic time since which it is read here though it is set up elsewhere}."""

    @callback
    def elsewhere(self, meter_id: str) -> ConfiguredMeter | None:
        """Where else a monitor is set up."""
        if not MONITOR.fullmatch(meter_id):
            return None
        for entry in self.hass.config_entries.async_entries(DOMAIN):
            if entry.entry_id == self.entry.entry_id:
                continue
            for subentry in entry.get_subentries_of_type(SUBENTRY_BRIDGE_METER):
                if subentry.data[CONF_METER] == meter_id:
                    return ConfiguredMeter(entry, subentry)
        return None

    @callback
    def seen(self, meter_id: str) -> bool:
        """There was a reading of a monitor that is not set up here; return whether it is elsewhere."""
        if self.elsewhere(meter_id) is None:
            return False
        self._since.setdefault(meter_id, time.monotonic())
        return True

    @callback
    def due(self) -> list[str]:
        """Monitors that have moved here; those that are nowhere else any more are forgotten."""
        now, moved = time.monotonic(), []
        for meter_id, since in tuple(self._since.items()):
            found = self.elsewhere(meter_id)
            if found is None:
                del self._since[meter_id]
            elif now - since >= PATIENCE and not _answers(found):
                moved.append(meter_id)
        return moved

    @property
    def twins(self) -> tuple[str, ...]:
        """Names of circuits of other hubs whose id a monitor here has too."""
        now = time.monotonic()
        return tuple(
            found.name
            for meter_id, since in self._since.items()
            if now - since >= TWIN and (found := self.elsewhere(meter_id)) is not None
        )

    @callback
    def forget(self) -> None:
        """The hub is away: what it read counts no more."""
        self._since.clear()

    @callback
    def async_move(self, found: ConfiguredMeter, subentry: ConfigSubentry) -> None:
        """Hand over what hangs on the other place, which nobody runs any more: registries, alarms, interlocks."""
        self._since.pop(subentry.data[CONF_METER], None)
        hand_over(self.hass, found, self.entry, subentry)
        async_follow_meters(self.hass, found.entry)


def _answers(found: ConfiguredMeter) -> bool:
    """Whether a circuit is read where it is set up."""
    if found.entry.state is not ConfigEntryState.LOADED:
        return False
    meter = found.entry.runtime_data.meters.get(found.subentry.subentry_id)
    return meter is not None and meter.answering
