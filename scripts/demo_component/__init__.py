"""Furnish the demo: the simulated line with its meters, the bridge, their history, the Energy dashboard.

Loaded by `scripts/demo` into its own Home Assistant; no part of what users install.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from homeassistant import config_entries
from homeassistant.auth.const import GROUP_ID_ADMIN
from homeassistant.auth.providers.homeassistant import HassAuthProvider
from homeassistant.config_entries import SOURCE_USER, ConfigEntry, ConfigSubentryData
from homeassistant.const import (
    CONF_HOST,
    CONF_PORT,
    EVENT_HOMEASSISTANT_STARTED,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
)
from homeassistant.core import CoreState, Event, HomeAssistant
from homeassistant.helpers import area_registry as ar, entity_registry as er
from homeassistant.helpers.typing import ConfigType

from custom_components.energy_meter.const import (
    BUS_SIMULATED,
    CONF_AREA,
    CONF_BUS,
    CONF_CIRCUITS,
    CONF_IDENTITY,
    CONF_INSIDE,
    CONF_KEY,
    CONF_KIND,
    CONF_METER,
    CONF_MULTIPLEXERS,
    CONF_PHASE,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    CONF_TRANSPORT,
    CONF_WAY,
    DEFAULT_FAST_INTERVAL,
    DOMAIN as ENERGY_METER,
    KIND_BRIDGE,
    PRODUCTION_EXPORT,
    PRODUCTION_IMPORT,
    ROLE_BATTERY,
    ROLE_DEVICE,
    ROLE_GRID,
    ROLE_NONE,
    ROLE_SOLAR,
    SUBENTRY_BRIDGE_METER,
    TRANSPORT_SIMULATED,
    WAY_I2C,
    WAY_TCP,
)
from custom_components.energy_meter.flows.draft import MeterDraft, identity_of
from custom_components.energy_meter.i2c_runtime import hub_id
from custom_components.energy_meter.sources.modbus.library import ProfileLibrary
from custom_components.energy_meter.sources.simulated.bridge import BRIDGE, HOST, METER
from custom_components.energy_meter.sources.simulated.house import shared_house
from custom_components.energy_meter.sources.simulated.hub import HUB, PANEL
from custom_components.energy_meter.sources.simulated.meter import METERS, SimulatedMeter, meter_of
from custom_components.energy_meter.sources.simulated.panel import (
    PanelCircuit,
    panel_circuits,
    panel_id,
)

from .history import Shown, import_history
from .shedding import TITLE as SHEDDING, async_furnish_house, hurry, settings, subentries

DOMAIN = "energy_meter_demo"

_ROLES = {"grid": ROLE_GRID, "solar": ROLE_SOLAR, "battery": ROLE_BATTERY}
"""What the circuits are; all others are devices."""
_PRODUCTION = {"solar": PRODUCTION_IMPORT, "battery": PRODUCTION_EXPORT}
"""Which counter of a meter counts what comes out of what it measures."""
_INSIDE = {"washing": "workshop"}
_AREAS = {
    "grid": "Cellar",
    "solar": "Roof",
    "battery": "Cellar",
    "heat_pump": "Cellar",
    "car": "Garage",
    "kitchen": "Kitchen",
    "workshop": "Workshop",
    "washing": "Workshop",
    "pump": "Garden",
    "water_heater": "Cellar",
}
_RELOAD_SOON = 1
"""Seconds after which an entry is reloaded of which the Energy dashboard has enabled sensors: before the story begins."""
_PATIENCE = 60
"""Seconds within which the sensors should have their first values."""


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Furnish as soon as Home Assistant runs."""
    options: dict[str, Any] = config[DOMAIN]
    config_entries.RELOAD_AFTER_UPDATE_DELAY = _RELOAD_SOON

    async def furnish(event: Event | None = None) -> None:
        outcome = "failed"
        try:
            await _async_add_user(hass, options["user"], options["password"])
            fast: bool = options["fast"]
            await async_furnish_house(hass, config)
            if options["meters"]:
                await _async_add_bridge(hass, options["bridge_port"], options["bridge_key"])
                if options["circuits"]:
                    await _async_add_panels(
                        hass, options["circuits"], options["hub_port"], options["hub_key"]
                    )
                await _async_furnish(hass, options["days"], fast=fast)
            if fast:
                await asyncio.sleep(3 * _RELOAD_SOON)
                hurry()
            if options["shedding"]:
                await _async_add_entry(hass, SHEDDING, settings(fast=fast), subentries(fast=fast))
            outcome = "ready"
        finally:
            path = Path(hass.config.path("outcome"))
            await hass.async_add_executor_job(path.write_text, outcome)

    if hass.state is CoreState.running:
        hass.async_create_task(furnish())
    else:
        hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STARTED, furnish)
    return True


async def _async_add_user(hass: HomeAssistant, name: str, password: str) -> None:
    """Create the one user, so that there is nobody to be welcomed."""
    provider = hass.auth.get_auth_provider("homeassistant", None)
    assert isinstance(provider, HassAuthProvider)
    await provider.async_initialize()
    await provider.async_add_auth(name, password)
    user = await hass.auth.async_create_user(name.title(), group_ids=[GROUP_ID_ADMIN])
    credentials = await provider.async_get_or_create_credentials({"username": name})
    await hass.auth.async_link_user(user, credentials)


async def _async_add_entry(
    hass: HomeAssistant,
    title: str,
    data: Mapping[str, Any],
    subentries: Iterable[ConfigSubentryData],
    unique_id: str | None = None,
) -> None:
    """Set up an entry as if a user had."""
    entry = ConfigEntry(
        data=data,
        discovery_keys=MappingProxyType({}),
        domain=ENERGY_METER,
        minor_version=1,
        options={},
        source=SOURCE_USER,
        subentries_data=subentries,
        title=title,
        unique_id=unique_id,
        version=1,
    )
    await hass.config_entries.async_add(entry)


async def _async_add_bridge(hass: HomeAssistant, port: int, key: str) -> None:
    """Set up the bridge, its meter named and placed as a user would have it."""
    bench = ConfigSubentryData(
        data={
            CONF_IDENTITY: f"{BRIDGE}_{METER}",
            CONF_METER: METER,
            CONF_ROLE: ROLE_NONE,
            CONF_RATED_CURRENT: 20.0,
            CONF_AREA: ar.async_get(hass).async_get_or_create("Workshop").id,
        },
        subentry_type=SUBENTRY_BRIDGE_METER,
        title="Workshop bench",
        unique_id=METER,
    )
    data = {
        CONF_KIND: KIND_BRIDGE,
        CONF_WAY: WAY_TCP,
        CONF_HOST: HOST,
        CONF_PORT: port,
        CONF_KEY: key,
    }
    await _async_add_entry(hass, "Workshop bridge", data, [bench], unique_id=BRIDGE)


async def _async_add_panels(hass: HomeAssistant, circuits: int, port: int, key: str) -> None:
    """Set up two panels of single-circuit monitors: on this computer's bus, and behind a remote hub.

    Without roles: the house is in the Energy dashboard already, by its meters on the Modbus line.
    """
    panel = await hass.async_add_executor_job(panel_circuits, circuits)
    bus = {
        CONF_KIND: KIND_BRIDGE,
        CONF_WAY: WAY_I2C,
        CONF_BUS: BUS_SIMULATED,
        CONF_MULTIPLEXERS: [],
        CONF_CIRCUITS: circuits,
    }
    on_bus = _circuits(panel, "Panel", [panel_id(number) for number in range(circuits)])
    await _async_add_entry(hass, "Panel", bus, on_bus, unique_id=hub_id(BUS_SIMULATED))
    hub = {
        CONF_KIND: KIND_BRIDGE,
        CONF_WAY: WAY_TCP,
        CONF_HOST: HOST,
        CONF_PORT: port,
        CONF_KEY: key,
    }
    at_hub = _circuits(panel, "Cellar", [panel_id(number, PANEL) for number in range(circuits)])
    await _async_add_entry(hass, "Cellar hub", hub, at_hub, unique_id=HUB)


def _circuits(
    panel: Iterable[PanelCircuit], where: str, ids: Iterable[int]
) -> list[ConfigSubentryData]:
    """The circuits of a panel as a user would have them, each behind the main meter of its phase."""
    named = [(circuit, f"{monitor:016x}") for circuit, monitor in zip(panel, ids, strict=True)]
    mains = {
        circuit.phase: monitor for circuit, monitor in named if circuit.name.startswith("Main")
    }
    subentries = []
    for circuit, monitor in named:
        data: dict[str, Any] = {
            CONF_IDENTITY: monitor,
            CONF_METER: monitor,
            CONF_ROLE: ROLE_NONE,
            CONF_RATED_CURRENT: circuit.rated_current,
            CONF_PHASE: circuit.phase,
        }
        if (main := mains.get(circuit.phase)) not in (None, monitor):
            data[CONF_INSIDE] = main
        subentries.append(
            ConfigSubentryData(
                data=data,
                subentry_type=SUBENTRY_BRIDGE_METER,
                title=f"{where} {circuit.name}",
                unique_id=monitor,
            )
        )
    return subentries


async def _async_furnish(hass: HomeAssistant, days: int, *, fast: bool) -> None:
    """Set up the line with all its meters, and give them a past; a fast house is looked at more often."""
    meters = await hass.async_add_executor_job(_meters)
    areas = ar.async_get(hass)
    drafts = {
        meter.spec.circuit: MeterDraft(
            unit_id=meter.spec.unit_id,
            profile=meter.spec.profile,
            identity=identity_of(meter.manufacturer, str(meter.spec.serial_number)),
            serial_number=str(meter.spec.serial_number) if meter.spec.serial_number else None,
            name=meter.spec.name,
            role=_ROLES.get(meter.spec.circuit, ROLE_DEVICE),
            production=_PRODUCTION.get(meter.spec.circuit),
            area=areas.async_get_or_create(_AREAS[meter.spec.circuit]).id,
            fast_interval=1.0 if fast else DEFAULT_FAST_INTERVAL,
        )
        for meter in meters
    }
    for circuit, outer in _INSIDE.items():
        drafts[circuit].inside = drafts[outer].identity
    await _async_add_entry(
        hass,
        "Simulated house",
        {CONF_TRANSPORT: TRANSPORT_SIMULATED},
        [draft.subentry() for draft in drafts.values()],
    )
    by_identity = {drafts[meter.spec.circuit].identity: meter for meter in meters}
    all_meters = {id(meter) for meter in meters}
    async with asyncio.timeout(_PATIENCE):
        while {id(sensor.meter) for sensor in _with_value(hass, by_identity)} != all_meters:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    sensors = list(_sensors(hass, by_identity))
    await hass.async_add_executor_job(import_history, hass, sensors, days)


def _meters() -> list[SimulatedMeter]:
    """The meters of the simulated line, to be asked for the past; blocking."""
    library = ProfileLibrary(None)
    return [meter_of(spec, library.load(spec.profile), shared_house()) for spec in METERS]


def _sensors(hass: HomeAssistant, meters: dict[str, SimulatedMeter]) -> Iterator[Shown]:
    """Every sensor of a quantity that keeps statistics."""
    for entity in er.async_get(hass).entities.values():
        if entity.platform != ENERGY_METER or entity.domain != "sensor" or entity.disabled:
            continue
        for identity, meter in meters.items():
            key = entity.unique_id.removeprefix(f"{identity}_")
            state_class = (entity.capabilities or {}).get("state_class")
            if key != entity.unique_id and state_class:
                yield Shown(
                    entity_id=entity.entity_id,
                    unit=entity.unit_of_measurement,
                    state_class=state_class,
                    meter=meter,
                    key=key,
                )


def _with_value(hass: HomeAssistant, meters: dict[str, SimulatedMeter]) -> Iterator[Shown]:
    """The sensors that have a value already."""
    for sensor in _sensors(hass, meters):
        state = hass.states.get(sensor.entity_id)
        if state and state.state not in (STATE_UNKNOWN, STATE_UNAVAILABLE):
            yield sensor
