"""A bus of I²C monitors at run time: a bridge whose conversation is held here, transaction by transaction."""

from collections.abc import Mapping
from dataclasses import replace
import time
from typing import Any, Final, override

from homeassistant.core import HomeAssistant, callback
from homeassistant.util import dt as dt_util

from .bridge_runtime import BridgeRuntime
from .const import BUS_SIMULATED, CONF_BUS, CONF_CIRCUITS, CONF_METER, CONF_MULTIPLEXERS
from .model import Control
from .runtime_base import EnergyMeterConfigEntry
from .sources.base import LinkHealth, MeterHealth, Source
from .sources.bridge.conversation import Conversation
from .sources.i2c.bus import BusObject, I2CBus, open_bus
from .sources.i2c.hub import I2CHub
from .sources.i2c.multiplexer import Multiplexers
from .sources.i2c.source import I2CSource

DEFAULT_CIRCUITS: Final = 12
_STRETCH: Final = 6e-6
"""Seconds that a simulated monitor holds the clock after each byte."""


def bus_name(bus: int | str) -> str:
    """What people call a bus."""
    return f"/dev/i2c-{bus}" if isinstance(bus, int) else str(bus)


def hub_id(bus: int | str) -> str:
    """What a bus is known by: `i2c-1`, `i2c-simulated`."""
    return f"i2c-{bus}"


def make_bus(data: Mapping[str, Any]) -> I2CBus:
    """The bus of an entry with this data; nothing is opened by it."""
    bus = data[CONF_BUS]
    return I2CBus(
        lambda: _open(bus, data.get(CONF_CIRCUITS, DEFAULT_CIRCUITS)),
        name=bus_name(bus),
        multiplexers=Multiplexers(data.get(CONF_MULTIPLEXERS, ())),
    )


def _open(bus: int | str, circuits: int) -> BusObject:
    """Open a bus; blocks."""
    if bus == BUS_SIMULATED:
        from .sources.simulated.panel import SimulatedI2CBus, simulated_panel

        return SimulatedI2CBus(simulated_panel(circuits), stretch=_STRETCH, pace=time.sleep)
    return open_bus(int(bus))


class I2CRuntime(BridgeRuntime):
    """A bus and its monitors, from the entry's set-up to its unloading."""

    def __init__(self, hass: HomeAssistant, entry: EnergyMeterConfigEntry, bus: I2CBus) -> None:
        """Take the entry and its bus; nothing is opened before `async_start`."""
        self._bus = bus
        super().__init__(hass, entry, bus)

    @override
    def _converse(self) -> tuple[Conversation, Source]:
        self.hub = I2CHub(
            self,
            self._bus,
            hub_id=hub_id(self.entry.data[CONF_BUS]),
            name=self.entry.title,
            clock=lambda: (time.monotonic(), dt_util.utcnow().timestamp()),
            memory=self.record.memory,
        )
        return self.hub, I2CSource(self.hub)

    @property
    @override
    def is_hub(self) -> bool:
        return True

    @property
    @override
    def controls(self) -> tuple[Control, ...]:
        """None: a bus has no board in between that could do something."""
        return ()

    @property
    @override
    def health(self) -> LinkHealth:
        known = self.hub.health
        silent = MeterHealth()
        return replace(
            known,
            connected=self.connected,
            meters={
                meter.identity: known.meters.get(meter.subentry.data[CONF_METER], silent)
                for meter in self.meters.values()
            },
        )

    # What a user is told

    @property
    @override
    def problems(self) -> Mapping[str, tuple[str, ...]]:
        return self.hub.problems

    @callback
    @override
    def on_trouble(self, key: str, detail: str) -> None:
        """Log it, and let a repair say what to do."""
        super().on_trouble(key, detail)
        self._look_for_problems()

    @callback
    @override
    def on_connected(self, connected: bool) -> None:
        """Follow the bus; one that moves is no trouble any more."""
        super().on_connected(connected)
        self._look_for_problems()
