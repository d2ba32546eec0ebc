"""Monitors on this computer's own I²C bus: which bus, which multiplexers, and what a search of it finds."""

import asyncio
from dataclasses import dataclass, field
import errno
import time
from typing import Any, Final, override

from ..const import BUS_SIMULATED, CONF_BUS, CONF_MULTIPLEXERS, CONF_WAY, WAY_I2C
from ..i2c_runtime import hub_id, make_bus
from ..sources.base import SourceError
from ..sources.i2c.bus import I2CBus
from ..sources.i2c.hub import I2CHub
from ..sources.i2c.multiplexer import FIRST_MULTIPLEXER, LAST_MULTIPLEXER
from ..sources.i2c.ports import list_buses
from ..sources.i2c.probe import Found, Probe
from ..sources.i2c.source import I2CSource
from .base import Result
from .bridge import BridgeSteps, Data
from .bridge_ear import Ear, Heard
from .bridge_forms import i2c_form
from .trouble import Trouble

PATIENCE: Final = 6.0
"""Seconds that the search of a bus and a first reading may take."""
_PERMISSION: Final = (errno.EACCES, errno.EPERM)
_MULTIPLEXERS: Final = range(FIRST_MULTIPLEXER, LAST_MULTIPLEXER + 1)


@dataclass(slots=True)
class BusHeard(Heard):
    """What is known of a bus."""

    places: dict[str, Probe] = field(default_factory=dict)
    """What is there beside monitors, by place."""


class BusEar(Ear):
    """A hub of a flow's own."""

    def __init__(self, bus: I2CBus, data: Data) -> None:
        """Take the bus, not opened."""
        self.heard = BusHeard()
        self.hub = I2CHub(
            self,
            bus,
            hub_id=hub_id(data[CONF_BUS]),
            name=bus.name,
            clock=lambda: (time.monotonic(), time.time()),
        )
        self._source = I2CSource(self.hub)
        self.troubles: list[str] = []

    @override
    def on_trouble(self, key: str, detail: str) -> None:
        """The bus itself may be ill."""
        self.troubles.append(key)


async def listen_to_bus(data: Data) -> BusHeard:
    """Who is on a bus and what they measure.

    Raises:
        SourceError: `i2c_no_bus`, `i2c_no_permission`, `i2c_held`, `i2c_nobody`.
    """
    bus = make_bus(data)
    where = {"bus": bus.name}
    if not await bus.open():
        number = bus.error.errno if bus.error else None
        key = "i2c_no_permission" if number in _PERMISSION else "i2c_no_bus"
        raise SourceError(key, where | {"detail": str(bus.error or "")})
    ear = BusEar(bus, data)
    await ear.start()
    heard = ear.heard
    assert isinstance(heard, BusHeard)
    try:
        end = time.monotonic() + PATIENCE
        while not heard.complete and not ear.troubles and time.monotonic() < end:
            await asyncio.sleep(0.1)
            if heard.hello is not None and not heard.hello.meters:
                break
        heard.places = ear.hub.places
    finally:
        await ear.stop()
    if any(key in ("bus_held", "bus_gone") for key in ear.troubles):
        raise SourceError("i2c_held", where)
    if heard.hello is None or not heard.hello.meters:
        others = ", ".join(heard.places) or "–"
        raise SourceError("i2c_nobody", where | {"others": others})
    return heard


class BridgeI2CSteps(BridgeSteps):
    """Ask for the bus, search it."""

    async def async_step_bridge_i2c(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the bus and its multiplexers."""
        self.form_step = "bridge_i2c"
        trouble = self.async_take_trouble()
        if user_input is not None:
            bus = user_input[CONF_BUS]
            multiplexers = [int(each, 16) for each in user_input.get(CONF_MULTIPLEXERS, ())]
            data: Data = {
                CONF_WAY: WAY_I2C,
                CONF_BUS: bus if bus == BUS_SIMULATED else int(bus),
                CONF_MULTIPLEXERS: sorted(multiplexers),
            }
            return await self.async_listen(data, user_input, listen_to_bus, self._async_explain_i2c)
        buses = await self.hass.async_add_executor_job(list_buses)
        options = {
            str(bus.number): " ".join(
                part
                for part in (
                    f"/dev/i2c-{bus.number}",
                    bus.name and f"({bus.name})",
                    "" if bus.usable else self.phrases("i2c_not_usable"),
                )
                if part
            )
            for bus in buses
        }
        if trouble is None and not buses:
            trouble = Trouble("i2c_none")
        filled = self.present(WAY_I2C)
        if CONF_BUS in filled:
            filled = {**filled, CONF_BUS: str(filled[CONF_BUS])}
            filled[CONF_MULTIPLEXERS] = [
                each if isinstance(each, str) else f"0x{each:02X}"
                for each in filled.get(CONF_MULTIPLEXERS, ())
            ]
        elif options:
            usable = [str(bus.number) for bus in buses if bus.usable]
            filled = {CONF_BUS: (usable or list(options))[0]}
        options[BUS_SIMULATED] = self.phrases("i2c_simulated")
        form = i2c_form(
            options,
            [f"0x{each:02X}" for each in _MULTIPLEXERS],
            anyway=self.offer_bridge_anyway,
        )
        return self.show("bridge_i2c", form, trouble, filled=filled)

    async def _async_explain_i2c(self, err: Exception, data: Data) -> Trouble:
        if isinstance(err, SourceError):
            return Trouble(err.key, err.placeholders)
        return Trouble("i2c_no_bus", {"bus": str(data[CONF_BUS]), "detail": str(err)})

    @override
    def _bridge_notes(self) -> str:
        notes = [super()._bridge_notes()]
        if isinstance(self.heard, BusHeard):
            notes += self._about_others(self.heard)
        return "\n\n".join(note for note in notes if note)

    def _about_others(self, heard: BusHeard) -> list[str]:
        notes = []
        for place, probe in heard.places.items():
            if probe.found is Found.SHARED:
                notes.append(self.phrases("i2c_shared", place=place))
            elif probe.found is Found.HIDDEN:
                notes.append(self.phrases("i2c_hidden", place=place))
            elif probe.found is Found.OTHER_VERSION:
                notes.append(self.phrases("i2c_version", place=place))
            elif place in {f"0x{each:02X}" for each in _MULTIPLEXERS}:
                notes.append(self.phrases("i2c_perhaps_multiplexer", place=place))
            elif probe.found is Found.FOREIGN:
                notes.append(self.phrases("i2c_foreign", place=place))
        return notes
