"""This integration's line, on a link borrowed from Home Assistant like any other integration's."""

from dataclasses import dataclass, replace
from functools import partial
import time
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

from custom_components.energy_meter.model import MeterInfo, Reading
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.modbus.line import ModbusLine
from custom_components.energy_meter.sources.modbus.meter import MeterConfig
from custom_components.energy_meter.sources.modbus.profile import Profile
from custom_components.energy_meter.sources.modbus.timing import LineTiming

from .near_end import Client, ClientFactory, Published
from .setting import Setting
from .shared_link import config_entry, unit_getter


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """How the user has set the meters up."""

    fast_interval: float = 0.0
    """Seconds; 0 is as fast as the line allows."""
    other_interval: float = 0.0
    """Seconds for everything else; 0 is every tenth round."""
    fast: tuple[str, ...] | None = None
    """The quantities read at the fast interval; None for all."""
    as_shipped: bool = False
    """Whether to keep the pause that the built-in profile asks for."""


class _Listener:
    def __init__(self, published: Published, unit: int) -> None:
        self._published = published
        self._unit = unit

    def on_reading(self, reading: Reading) -> None:
        now = time.monotonic()
        unit = self._unit
        self._published.values += [
            (now, unit, key, value) for key, value in reading.values.items() if value is not None
        ]

    def on_silent(self, meter_id: str) -> None:
        self._published.taken_back.append((time.monotonic(), self._unit, None))

    def on_stale(self, meter_id: str, keys: frozenset[str]) -> None:
        self._published.taken_back.append((time.monotonic(), self._unit, keys))

    def on_back(self, meter_id: str) -> None:
        backs: list[Any] = self._published.notes.setdefault("back", [])
        backs.append((time.monotonic(), self._unit))

    def on_info(self, info: MeterInfo) -> None:
        pass

    def on_wrong_meter(self, meter_id: str, expected: str, found: str) -> None:
        raise RuntimeError(f"{found} answers for {expected}")


def _profile(setting: Setting, options: LineOptions) -> Profile:
    profile = ProfileLibrary(None).load(setting.model.slug)
    if not options.as_shipped:
        profile = replace(profile, min_gap=setting.pause)
    return profile


class LineClient(Client):
    """All meters on one `ModbusLine`."""

    def __init__(self, setting: Setting, address: str | int, *, options: LineOptions) -> None:
        """Plan the meters."""
        self._setting = setting
        self._address = address
        self._options = options
        self._line: ModbusLine | None = None
        self._published: Published | None = None

    async def start(self, hass: HomeAssistant, published: Published) -> None:
        """Set up and begin to publish."""
        setting, options = self._setting, self._options
        await async_setup_component(hass, "modbus", {})
        profile = await hass.async_add_executor_job(_profile, setting, options)
        if setting.transport == "tcp":
            timing = LineTiming.network()
        else:
            timing = LineTiming.serial(setting.baudrate, 8, "N", setting.bits - 9)
        self._line = ModbusLine(
            unit_getter(hass, config_entry(), setting, self._address), timing, lambda: True
        )
        self._published = published
        for unit in setting.units:
            config = MeterConfig(
                meter_id=str(unit),
                profile=profile,
                unit_id=unit,
                fast_interval=options.fast_interval,
                counter_interval=options.other_interval,
                slow_interval=options.other_interval,
                wanted=frozenset(setting.keys),
                fast_keys=frozenset(setting.keys if options.fast is None else options.fast),
            )
            self._line.add_meter(config, _Listener(published, unit))
        await self._line.start()

    async def stop(self) -> None:
        """Stop polling and keep what the line says about itself."""
        assert self._line is not None
        assert self._published is not None
        self._published.notes["health"] = self._line.health
        await self._line.stop()


def line_client(**options: Any) -> ClientFactory:
    """Return a factory of clients with these `LineOptions`."""
    return partial(LineClient, options=LineOptions(**options))
