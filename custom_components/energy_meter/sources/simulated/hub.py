"""A simulated remote hub on a local socket: a panel of monitors behind a board with its own I²C bus.

The bus is read as the host's own is, by `I2CHub`; what that tells goes out as the bridge protocol wants it of a hub:
one message for all circuits, what they share said once.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
import time
from typing import Any, Final, override

from ...metering.waveform import Signal
from ...model import Control, Reading, Value
from ..base import SourceError
from ..bridge import BridgeEvent, BridgeHealth, BridgeListener, Hello, MeterHello
from ..bridge.calls import ERRORS
from ..bridge.protocol import VERSION
from ..bridge.waveform import CONTROL as CAPTURE
from ..i2c.bus import I2CBus
from ..i2c.hub import INTERVAL, I2CHub
from ..i2c.multiplexer import Multiplexers
from .board import HOST, Line, SimulatedBoard
from .panel import Chip, SimulatedI2CBus, simulated_panel

__all__ = ["HOST", "HUB", "PANEL", "SimulatedHub"]

HUB: Final = "5eed00001c00"
PANEL: Final = "hub"
"""Name of its panel: its monitors are others than those of the simulated bus of Home Assistant's own computer."""
DIGITS: Final[Mapping[str, int]] = {
    "voltage": 2,
    "current": 3,
    "power": 2,
    "reactive_power": 2,
    "apparent_power": 2,
    "power_factor": 4,
    "frequency": 2,
    "current_crest_factor": 3,
    "energy_import": 6,
    "energy_export": 6,
}
"""What a hub says of a circuit, and digits behind the point."""
_HEALTH_EVERY: Final = 30.0
_VOLTS, _AMPERES = 0.05, 0.002
"""Of a count in a capture."""
_SHARED: Final = ("model", "manufacturer", "firmware", "rated_current", "phases")
"""What most circuits have in common, beside quantities and controls."""


class SimulatedHub(SimulatedBoard, BridgeListener):
    """A hub and its panel, from `start` to `stop`."""

    def __init__(
        self,
        circuits: int = 12,
        key: str | None = None,
        *,
        bridge_id: str = HUB,
        chips: Iterable[Chip] | None = None,
        bus: SimulatedI2CBus | None = None,
        clock: Callable[[], float] = time.time,
        interval: float = INTERVAL,
    ) -> None:
        """Choose panel and key; nothing is computed and nothing listens before `start`.

        Args:
            circuits: monitors of the simulated house's panel, up to 100.
            key: the pairing key however it is typed; a fresh one if none is given.
            bridge_id: the hub's own.
            chips: what is on the bus, in place of the panel.
            bus: the bus, in place of one with these chips.
            clock: Unix time.
            interval: seconds between two messages.
        """
        super().__init__(key)
        self.bridge_id = bridge_id
        self.chips = list(chips) if chips is not None else []
        self.bus = bus
        self.rounds = 0
        self.bytes = 0
        """Of all messages with rows, signature and line feed included."""
        self._count = 0 if chips is not None or bus is not None else circuits
        self._clock = clock
        self._interval = interval
        self._hub: I2CHub | None = None
        self._rows: dict[str, tuple[Reading, frozenset[str]]] = {}
        self._told: Mapping[str, tuple[str, ...]] = {}
        self._started = time.monotonic()

    async def start(self, port: int = 0) -> int:
        """Read the bus, and listen on a local port, 0 for any free one; return it.

        Raises:
            OSError: it is taken.
        """
        if self._count:
            self.chips += await asyncio.to_thread(
                simulated_panel, self._count, clock=self._clock, panel=PANEL
            )
        if self.bus is None:
            self.bus = SimulatedI2CBus(self.chips)
        port = await self.listen(port)
        self._hub = I2CHub(
            self,
            I2CBus(self.bus.open, name="the hub's bus", multiplexers=Multiplexers(())),
            hub_id=self.bridge_id,
            name="Panel hub",
            clock=lambda: (time.monotonic(), self._clock()),
        )
        await self._hub.start()
        return port

    async def stop(self) -> None:
        """Hang up, listen no more and leave the bus alone."""
        await self.hang_up()
        if self._hub is not None:
            await self._hub.stop()
            self._hub = None

    # What the bus says

    @override
    def on_hello(self, hello: Hello) -> None:
        self._say(self.hello())

    @override
    def on_reading(self, meter: str, reading: Reading, flags: frozenset[str], *, old: bool) -> None:
        self._rows[meter] = (reading, flags)

    @override
    def on_event(self, event: BridgeEvent) -> None:
        message: dict[str, Any] = {"type": "event", "meter": event.meter, "event": event.event}
        if event.value is not None:
            message["value"] = event.value
        if self.line is not None:
            self.line.send({**message, **self.number()})

    @override
    def on_health(self, health: BridgeHealth) -> None:
        """The hub tells of itself in its own time."""

    @override
    def on_connected(self, connected: bool) -> None:
        """What is wrong with the bus is said with the hub's health."""

    @override
    def on_log(self, level: str, text: str) -> None:
        self._say({"type": "log", "level": level, "text": text})

    @override
    def on_trouble(self, key: str, detail: str) -> None:
        """Likewise."""

    # What the host hears

    def _say(self, message: Mapping[str, Any]) -> None:
        if self.line is not None:
            self.line.send(message)

    @override
    async def tell(self, line: Line) -> None:
        health_due = 0.0
        while True:
            if self._rows:
                before = line.bytes_sent
                line.send(self._readings())
                self.rounds += 1
                self.bytes += line.bytes_sent - before
            now = time.monotonic()
            problems = self._hub.problems if self._hub is not None else {}
            if now >= health_due or problems != self._told:
                health_due, self._told = now + _HEALTH_EVERY, problems
                uptime = round(now - self._started)
                line.send({"type": "health", "uptime": uptime, "errors": 0, "problems": problems})
            await asyncio.sleep(self._interval)

    def _readings(self) -> dict[str, Any]:
        rows, self._rows = self._rows, {}
        now = time.monotonic()
        age = max(now - reading.monotonic for reading, _ in rows.values())
        return {
            "type": "readings",
            **self.number(len(rows)),
            "age": round(1000 * age),
            "columns": ["meter", *DIGITS, "start", "flags"],
            "rows": [
                [
                    meter,
                    *(_said(reading.values, key, digits) for key, digits in DIGITS.items()),
                    reading.start,
                    sorted(flags) or None,
                ]
                for meter, (reading, flags) in rows.items()
            ],
        }

    @override
    def hello(self) -> dict[str, Any]:
        known = self._hub.hello if self._hub is not None else None
        meters = known.meters if known is not None else ()
        controls = {control.key: control for meter in meters for control in meter.controls}
        capabilities = frozenset[str]().union(*(meter.capabilities for meter in meters))
        common: dict[str, Any] = {
            key: _most_frequent([getattr(meter, key) for meter in meters]) for key in _SHARED
        } | {
            "quantities": list(DIGITS),
            "resolution": {"energy_import": 1e-6, "energy_export": 1e-6},
            "controls": [_control(control) for control in controls.values()],
            "capabilities": sorted(capabilities),
        }
        return {
            "type": "hello",
            "v": VERSION,
            "bridge": self.bridge_id,
            "boot": self.boot,
            "firmware": "1.0.0",
            "hardware": "Simulated ESP32",
            "name": "Panel hub",
            "kind": "i2c_hub",
            "capabilities": [],
            "interval": self._interval,
            "common": common,
            "meters": [_meter(meter, common, controls) for meter in meters],
        }

    @override
    async def command(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        meter, control, value = (message.get(key) for key in ("meter", "control", "value"))
        if meter is None or self._hub is None:
            return await super().command(message)
        try:
            if control == CAPTURE:
                return {"ok": True, "value": await self._capture(str(meter), int(value or 2))}
            found = await self._hub.command(str(control), value, str(meter))
        except SourceError as err:
            word = err.key.removeprefix("bridge_")
            error = word if word in ERRORS else "no_answer" if word == "away" else "not_allowed"
            return {"ok": False, "error": error, "text": err.placeholders.get("text", "")}
        return {"ok": True} if found is None else {"ok": True, "value": found}

    async def _capture(self, meter: str, cycles: int) -> dict[str, Any]:
        assert self._hub is not None
        wave = await self._hub.capture(meter, cycles)
        return {
            "rate": wave.rate,
            "cycles": wave.cycles,
            "delay": wave.delay,
            "voltage": _counts(wave.voltage, _VOLTS),
            "current": _counts(wave.current, _AMPERES),
        }


def _said(values: Mapping[str, Value], key: str, digits: int) -> Value | str:
    if key not in values:
        return "-"
    value = values[key]
    return None if value is None else round(value, digits)


def _counts(signal: Signal, scale: float) -> dict[str, Any]:
    samples = [round(sample / scale) for sample in signal.samples]
    return {"scale": scale, "zero": 0, "samples": samples}


def _most_frequent(values: list[Any]) -> Any:
    return max(values, key=values.count) if values else None


def _control(control: Control) -> dict[str, Any]:
    said = {
        "key": control.key,
        "kind": control.kind.value,
        "min": control.minimum,
        "max": control.maximum,
        "step": control.step,
    }
    return {key: value for key, value in said.items() if value is not None}


def _meter(
    meter: MeterHello, common: Mapping[str, Any], controls: Mapping[str, Control]
) -> dict[str, Any]:
    """What a hello says of one circuit beside what all share."""
    said: dict[str, Any] = {"id": meter.id, "name": meter.name}
    said |= {key: value for key in _SHARED if (value := getattr(meter, key)) != common[key]}
    offered = {control.key for control in meter.controls}
    lacking = [key for key in controls if key not in offered]
    lacking += [key for key in DIGITS if key not in meter.quantities]
    if lacking:
        said["without"] = lacking
    if sorted(meter.capabilities) != common["capabilities"]:
        said["capabilities"] = sorted(meter.capabilities)
    if meter.segment is not None:
        said["segment"] = meter.segment
    return said | {"address": meter.address, "settings": dict(meter.settings)}
