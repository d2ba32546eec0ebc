"""Walking through flows as the frontend does, against real meters."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from homeassistant.config_entries import (
    SOURCE_RECONFIGURE,
    SOURCE_USER,
    ConfigEntry,
    ConfigEntryState,
)
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowManager, FlowResultType

from custom_components.energy_meter.const import DOMAIN, SUBENTRY_METER
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from tests.integration.runtime_support import until
from tests.support.meters import Meter

LIBRARY = ProfileLibrary()

ADVANCED = {
    "fast_interval": 5.0,
    "counter_interval": 30.0,
    "slow_interval": 60.0,
    "invert": False,
    "word_order": "profile",
}
"""The collapsed section of the meter form as the frontend sends it untouched."""
NETWORK_ADVANCED = {"baudrate": "9600", "verify_ssl": True}


def sdm120(unit_id: int, serial_number: int | None = None, **values: float) -> Meter:
    """A meter that most flows are tried with."""
    known: dict[str, float | str] = {
        "voltage": 231.2,
        "current": 2.24,
        "power": 512.0,
        "apparent_power": 518.0,
        "power_factor": 0.988,
        "frequency": 50.01,
        "energy_import": 1234.5,
        "energy_export": 1.5,
        "energy_total": 1236.0,
        "meter_code": 0x20,
        **values,
    }
    if serial_number is not None:
        known["serial_number"] = serial_number
    return Meter.from_profile(LIBRARY.load("eastron_sdm120m"), unit_id, known)


@asynccontextmanager
async def unloaded(hass: HomeAssistant) -> AsyncIterator[None]:
    """See to it that no entry outlives the line that it reads."""
    try:
        yield
    finally:
        for entry in hass.config_entries.async_entries(DOMAIN):
            if entry.state is ConfigEntryState.LOADED and entry.runtime_data.meters:
                await until(lambda line=entry.runtime_data.line: line.health.connected)  # type: ignore[misc]
            if entry.state.recoverable:
                await hass.config_entries.async_unload(entry.entry_id)
        await hass.async_block_till_done()


class Flow:
    """One flow, step by step."""

    def __init__(
        self,
        hass: HomeAssistant,
        manager: FlowManager[Any, Any, Any],
        result: Mapping[str, Any],
    ) -> None:
        """Take over a flow that was just started."""
        self.hass = hass
        self.manager = manager
        self.result = result

    @classmethod
    async def user(cls, hass: HomeAssistant) -> Flow:
        """Add the integration, as far as how Modbus meters are connected."""
        return await (await cls.first(hass)).choose("modbus")

    @classmethod
    async def first(cls, hass: HomeAssistant) -> Flow:
        """Add the integration, as far as its first question."""
        manager = hass.config_entries.flow
        result = await manager.async_init(DOMAIN, context={"source": SOURCE_USER})
        return cls(hass, manager, result)

    @classmethod
    async def reconfigure(cls, hass: HomeAssistant, entry: ConfigEntry) -> Flow:
        """Reconfigure a line."""
        manager = hass.config_entries.flow
        result = await manager.async_init(
            DOMAIN, context={"source": SOURCE_RECONFIGURE, "entry_id": entry.entry_id}
        )
        return cls(hass, manager, result)

    @classmethod
    async def add_meter(cls, hass: HomeAssistant, entry: ConfigEntry) -> Flow:
        """Add meters to a line."""
        manager = hass.config_entries.subentries
        result = await manager.async_init(
            (entry.entry_id, SUBENTRY_METER), context={"source": SOURCE_USER}
        )
        return cls(hass, manager, result)

    @classmethod
    async def change_meter(cls, hass: HomeAssistant, entry: ConfigEntry, subentry_id: str) -> Flow:
        """Reconfigure a meter."""
        manager = hass.config_entries.subentries
        result = await manager.async_init(
            (entry.entry_id, SUBENTRY_METER),
            context={"source": SOURCE_RECONFIGURE, "subentry_id": subentry_id},
        )
        return cls(hass, manager, result)

    @property
    def step(self) -> str | None:
        """The step that is shown."""
        return self.result.get("step_id")

    @property
    def kind(self) -> FlowResultType:
        """What is shown: a form, a menu, the end."""
        kind: FlowResultType = self.result["type"]
        return kind

    @property
    def errors(self) -> Mapping[str, str]:
        """The errors that the form shows."""
        errors: Mapping[str, str] = self.result["errors"]
        return errors

    @property
    def placeholders(self) -> Mapping[str, str]:
        """What the step's texts are filled in with."""
        placeholders: Mapping[str, str] = self.result["description_placeholders"]
        return placeholders

    async def choose(self, option: str) -> Flow:
        """Choose from the menu that is shown."""
        assert self.kind is FlowResultType.MENU, self.result
        assert option in self.result["menu_options"]
        return await self._go({"next_step_id": option})

    async def fill(self, **fields: Any) -> Flow:
        """Send the form that is shown."""
        assert self.kind is FlowResultType.FORM, self.result
        return await self._go(fields)

    async def wait(self) -> Flow:
        """Wait until what is in progress is over, and see the step behind it."""
        while self.kind is FlowResultType.SHOW_PROGRESS:
            task = self.manager._progress[self.result["flow_id"]].async_get_progress_task()
            if task is not None and not task.done():
                await asyncio.wait({task})
            await self.hass.async_block_till_done()
            self.result = await self.manager.async_configure(self.result["flow_id"])
        return self

    async def _go(self, user_input: dict[str, Any]) -> Flow:
        self.result = await self.manager.async_configure(self.result["flow_id"], user_input)
        return self

    def prefilled(self) -> dict[str, Any]:
        """What the form that is shown is filled with, as the frontend would send it back."""
        return _filled(self.result["data_schema"])


def _filled(schema: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for marker, validator in schema.schema.items():
        description = marker.description or {}
        if hasattr(validator, "schema") and hasattr(validator, "options"):
            values[str(marker)] = _filled(validator.schema)
        elif "suggested_value" in description:
            values[str(marker)] = description["suggested_value"]
        elif callable(marker.default):
            values[str(marker)] = marker.default()
    return values
