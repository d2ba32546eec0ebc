"""A Home Assistant with load shedding, real helpers as loads, and a clock that is moved by hand."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import ConfigSubentryData
from homeassistant.const import ATTR_UNIT_OF_MEASUREMENT
from homeassistant.core import Context, HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.setup import async_setup_component
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.energy_meter.const import DOMAIN
from custom_components.energy_meter.shedder.runtime import ShedderRuntime

HELPERS = ("heater", "ev", "boiler", "network", "pump")


def limit(name: str = "Main fuse", **data: Any) -> ConfigSubentryData:
    """A limit of 5 kW on sensor.grid, unless said otherwise."""
    return ConfigSubentryData(
        data={
            "sensor": "sensor.grid",
            "measure": "power",
            "phase": "all",
            "urgency": "hard",
            "value": 5_000.0,
            "delay": 0,
            "freshness": 60,
            "invert": False,
            **data,
        },
        subentry_type="limit",
        title=name,
        unique_id=None,
    )


def load(entity: str, order: int, power: float | None = 2_000.0, **data: Any) -> ConfigSubentryData:
    """A load that is an input_boolean, unless said otherwise."""
    entity_id = entity if "." in entity else f"input_boolean.{entity}"
    return ConfigSubentryData(
        data={
            "entity": entity_id,
            "order": order,
            "phase": "single",
            "restorable": True,
            "protected": False,
            "min_on": 0,
            "min_off": 0,
            "reaction": 1,
            **({} if power is None else {"power": power}),
            **data,
        },
        subentry_type="load",
        title=entity.rpartition(".")[2].capitalize(),
        unique_id=None,
    )


def entry_with(*subentries: ConfigSubentryData, **settings: Any) -> MockConfigEntry:
    """An entry of load shedding; not added yet."""
    return MockConfigEntry(
        domain=DOMAIN,
        title="Load shedding",
        data={
            "kind": "load_shedding",
            "margin": 300,
            "restore_delay": 60,
            "hold": 600,
            "per_pass": 3,
            "per_hour": 30,
            "voltage": 230,
            **settings,
        },
        subentries_data=subentries,
    )


class Home:
    """The house in front of the controller."""

    def __init__(self, hass: HomeAssistant, freezer: FrozenDateTimeFactory) -> None:
        self.hass = hass
        self.freezer = freezer

    async def helpers(self, on: Iterable[str] = HELPERS) -> None:
        """Switches that are really there."""
        booleans = {name: {"initial": name in set(on)} for name in HELPERS}
        assert await async_setup_component(self.hass, "input_boolean", {"input_boolean": booleans})
        numbers = {"wallbox": {"min": 0, "max": 16, "step": 1, "initial": 16}}
        assert await async_setup_component(self.hass, "input_number", {"input_number": numbers})
        await self.hass.async_block_till_done()

    async def start(self, *subentries: ConfigSubentryData, **settings: Any) -> MockConfigEntry:
        """Set load shedding up."""
        entry = entry_with(*subentries, **settings)
        entry.add_to_hass(self.hass)
        assert await self.hass.config_entries.async_setup(entry.entry_id)
        await self.hass.async_block_till_done()
        return entry

    async def measure(
        self, value: float | str, sensor: str = "sensor.grid", unit: str = "W"
    ) -> None:
        """A sensor says something, the same as before or not."""
        self.hass.states.async_set(sensor, str(value), {ATTR_UNIT_OF_MEASUREMENT: unit})
        await self.hass.async_block_till_done()

    async def wait(self, seconds: float) -> None:
        """Let time pass without a reading."""
        self.freezer.tick(timedelta(seconds=seconds))
        async_fire_time_changed(self.hass)
        await self.hass.async_block_till_done()

    async def hold(self, value: float, seconds: int, every: int = 10) -> None:
        """The sensor says the same for a while."""
        for _ in range(seconds // every):
            await self.wait(every)
            await self.measure(value)

    def is_on(self, name: str) -> bool:
        """Whether a helper is on."""
        state = self.hass.states.get(f"input_boolean.{name}")
        assert state is not None
        return state.state == "on"

    async def switch(self, name: str, on: bool) -> None:
        """A person switches a helper."""
        await self.call(
            "input_boolean", "turn_on" if on else "turn_off", entity_id=f"input_boolean.{name}"
        )

    async def call(self, domain: str, action: str, **data: Any) -> None:
        """Call an action."""
        await self.hass.services.async_call(domain, action, data, blocking=True, context=Context())
        await self.hass.async_block_till_done()


def entity_id(hass: HomeAssistant, platform: str, key: str) -> str:
    """The entity of load shedding whose unique id ends so."""
    found: str = next(
        entity.entity_id
        for entity in er.async_get(hass).entities.values()
        if entity.platform == DOMAIN
        and entity.domain == platform
        and entity.unique_id.endswith(f"_{key}")
    )
    return found


def shown(hass: HomeAssistant, key: str, platform: str = "sensor") -> State:
    """The state of an entity of load shedding."""
    state = hass.states.get(entity_id(hass, platform, key))
    assert state is not None
    return state


def runtime(entry: MockConfigEntry) -> ShedderRuntime:
    """What runs an entry."""
    found = entry.runtime_data
    assert isinstance(found, ShedderRuntime)
    return found


def subentry_id(entry: MockConfigEntry, title: str) -> str:
    """The id of a limit or a load."""
    found: str = next(one.subentry_id for one in entry.subentries.values() if one.title == title)
    return found


def attributes(hass: HomeAssistant, key: str, platform: str = "sensor") -> Mapping[str, Any]:
    """The attributes of an entity of load shedding."""
    return shown(hass, key, platform).attributes
