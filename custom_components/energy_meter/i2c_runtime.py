"""A bus of I²C monitors at run time: a bridge whose conversation is held here, transaction by transaction."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
import time
from typing import Any, Final, override

from homeassistant.components import persistent_notification
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.util import dt as dt_util

from .bridge_runtime import BridgeRuntime
from .const import BUS_SIMULATED, CONF_BUS, CONF_CIRCUITS, CONF_METER, CONF_MULTIPLEXERS, DOMAIN
from .coordinator import MeterCoordinator
from .flows.phrases import Phrases
from .issues import Issue, async_clear, async_raise
from .model import Control
from .runtime_base import EnergyMeterConfigEntry
from .sources.base import LinkHealth, MeterHealth, Source, SourceError
from .sources.bridge import BridgeEvent
from .sources.bridge.conversation import Conversation
from .sources.i2c.bus import BusObject, I2CBus, open_bus
from .sources.i2c.hub import I2CHub
from .sources.i2c.multiplexer import Multiplexers
from .sources.i2c.probe import Found
from .sources.i2c.registers import Capability
from .sources.i2c.source import I2CSource
from .sources.i2c.waveform import Waveform

DEFAULT_CIRCUITS: Final = 12
_STRETCH: Final = 12e-6
"""Seconds that a simulated monitor holds the clock after each byte."""
_ODD_ISSUES: Final = {
    Found.SHARED: Issue.I2C_ADDRESS_SHARED,
    Found.HIDDEN: Issue.I2C_HIDDEN,
    Found.TWIN: Issue.I2C_ID_TWICE,
    Found.OTHER_VERSION: Issue.I2C_MONITOR_VERSION,
}
_BUS_ISSUES: Final = {"bus_held": Issue.I2C_BUS_HELD, "bus_gone": Issue.I2C_BUS_GONE}


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
        self._issues: dict[Issue, str] = {}
        self._on_capture: dict[str, set[Callable[[Waveform, datetime], None]]] = {}
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

    @override
    async def async_stop(self) -> None:
        await super().async_stop()
        self._show_issues({})

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

    @callback
    @override
    def on_event(self, event: BridgeEvent) -> None:
        """Say that a monitor has come that nobody knows yet; all else as for any bridge."""
        known = self._configured_ids()
        if event.event != "new_meter":
            super().on_event(event)
        elif known and event.meter not in known | self.removed:
            # Not for the first ones: they come with the entry, which the user has just set up.
            super().on_event(event)
            self.entry.async_create_background_task(
                self.hass, self._async_tell_new(str(event.meter)), f"{DOMAIN} notice"
            )

    async def _async_tell_new(self, meter_id: str) -> None:
        phrases = await Phrases.load(self.hass)
        persistent_notification.async_create(
            self.hass,
            phrases("i2c_new_text", meter=meter_id.upper(), name=self.entry.title),
            phrases("i2c_new_title", name=self.entry.title),
            f"{DOMAIN}_{self.entry.entry_id}_{meter_id}",
        )

    @callback
    @override
    def on_trouble(self, key: str, detail: str) -> None:
        """Log it, and let a repair say what to do."""
        super().on_trouble(key, detail)
        self._look_for_issues(_BUS_ISSUES.get(key))

    @callback
    @override
    def on_connected(self, connected: bool) -> None:
        """Follow the bus; one that moves is no trouble any more."""
        super().on_connected(connected)
        self._look_for_issues()

    @callback
    @override
    def _look_at_health(self, now: datetime) -> None:
        super()._look_at_health(now)
        self._look_for_issues()

    @callback
    def _look_for_issues(self, of_bus: Issue | None = None) -> None:
        """Raise what is wrong now, and take back what is not any more."""
        wanted: dict[Issue, str] = {}
        for place, probe in self.hub.places.items():
            if (issue := _ODD_ISSUES.get(probe.found)) is not None:
                wanted[issue] = ", ".join(filter(None, (wanted.get(issue), place)))
        if of_bus is not None:
            wanted[of_bus] = self._bus.name
        if not self.connected:
            wanted |= {
                each: self._bus.name for each in _BUS_ISSUES.values() if each in self._issues
            }
        self._show_issues(wanted)

    @callback
    def _show_issues(self, wanted: dict[Issue, str]) -> None:
        subject = self.entry.entry_id
        for issue in self._issues.keys() - wanted.keys():
            async_clear(self.hass, issue, subject)
        for issue, places in wanted.items():
            if self._issues.get(issue) != places:
                async_raise(
                    self.hass,
                    issue,
                    subject,
                    data={"entry_id": subject},
                    places=places,
                    name=self.entry.title,
                )
        self._issues = wanted

    @callback
    @override
    def async_look_again(self) -> None:
        """Raise again what is still wrong at the next look."""
        super().async_look_again()
        self._issues = {}

    # Waveforms

    def can_capture(self, meter: MeterCoordinator) -> bool:
        """Whether a monitor says that it can; one that is away is believed to."""
        return self.hub.can(meter.subentry.data[CONF_METER], Capability.WAVEFORM)

    @callback
    def async_on_capture(
        self, identity: str, update: Callable[[Waveform, datetime], None]
    ) -> CALLBACK_TYPE:
        """Call `update` with every capture of this meter and its time."""
        listeners = self._on_capture.setdefault(identity, set())
        listeners.add(update)
        return lambda: listeners.discard(update)

    async def async_capture(self, meter: MeterCoordinator, cycles: int) -> Waveform:
        """One or two cycles of a circuit, taken now.

        Raises:
            HomeAssistantError: the monitor is away, cannot do it, or did not answer.
        """
        try:
            wave = await self.hub.capture(meter.subentry.data[CONF_METER], cycles)
        except SourceError as err:
            raise self._error(meter, err.key, err.placeholders) from err
        taken = dt_util.utcnow()
        for update in tuple(self._on_capture.get(meter.identity, ())):
            update(wave, taken)
        return wave
