"""Meters in the Energy dashboard: adds what a meter's role says, and takes back only its own.

What was added is remembered per meter in a store of its own, not in the subentry, whose change would set
the line up anew. An entry is taken back only while it is as it was added; once the user has changed it, it is theirs.
One that the user has deleted is not added again, until the meter's role changes.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, cast

from homeassistant.components.sensor import DOMAIN as SENSOR_DOMAIN
from homeassistant.config_entries import ConfigEntry, ConfigSubentry
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.singleton import singleton
from homeassistant.helpers.storage import Store

from .const import (
    CONF_ENERGY_DASHBOARD,
    CONF_IDENTITY,
    CONF_INSIDE,
    CONF_PRODUCTION,
    CONF_ROLE,
    DOMAIN,
    ROLE_BATTERY,
    ROLE_DEVICE,
    ROLE_GRID,
    ROLE_HOME,
    ROLE_NONE,
    ROLE_SOLAR,
)
from .energy_roles import (
    FIELD_CONSUMPTION,
    FIELD_FROM,
    FIELD_RATE,
    FIELD_TO,
    DashboardPart,
    Obstacle,
    dashboard_part,
)
from .model import QUANTITIES

STORAGE_VERSION: Final = 1
STORAGE_KEY: Final = f"{DOMAIN}.energy_dashboard"
SETTLE: Final = 2.0
"""Seconds to wait for the rest of a meter's entities after one has appeared."""

ENERGY: Final = "energy"
SOURCES: Final = "energy_sources"
DEVICES: Final = "device_consumption"
_POWER_CONFIG: Final = "power_config"
_INSIDE: Final = "included_in_stat"
_ENERGY_FIELDS: Final = (FIELD_FROM, FIELD_TO, FIELD_CONSUMPTION)

type Item = dict[str, Any]
"""One source or device in the dashboard's preferences."""
type Preferences = dict[str, list[Item]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardMeter:
    """A meter as far as the dashboard is concerned; it may not be set up yet."""

    identity: str
    name: str
    role: str
    quantities: Collection[str]
    """Keys of all that it gives."""
    production: str | None = None
    inside: str | None = None
    """Identity of the meter that measures it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """What a meter is going to add to the dashboard, or why nothing."""

    meter: DashboardMeter
    part: DashboardPart
    inside: str | None = None
    """Name of the device that it is shown inside of."""

    @property
    def obstacle(self) -> Obstacle | None:
        """Why nothing is added."""
        return self.part.obstacle

    def words(self, phrase: Callable[..., str]) -> str:
        """The change as one line for the user.

        Args:
            phrase: gives a text of `selector.phrase.options`, filled in.
        """
        name, role = self.meter.name, self.part.role
        if self.obstacle is not None:
            return phrase(f"dashboard_{self.obstacle}", name=name)
        parts = [
            phrase(f"dashboard_{role}_{field.removeprefix('stat_')}")
            for field in _ENERGY_FIELDS
            if field in self.part.keys
        ]
        if FIELD_RATE in self.part.keys:
            parts.append(phrase("dashboard_power"))
        line = phrase(f"dashboard_{role}", name=name, parts=", ".join(parts))
        return (
            line if self.inside is None else phrase("dashboard_inside", line=line, name=self.inside)
        )


async def planned_changes(
    hass: HomeAssistant, meters: Iterable[DashboardMeter]
) -> list[PlannedChange]:
    """Return what setting up these meters will add to the dashboard, in their order.

    Nothing is written. Meters whose role has no place there are left out.
    """
    dashboard = await _async_dashboard(hass)
    return await dashboard.async_plan(list(meters))


async def async_apply(hass: HomeAssistant, entry: ConfigEntry, subentry: ConfigSubentry) -> bool:
    """Bring the dashboard in line with a meter that is set up; return whether something was added.

    To be called each time the meter's entities have been added: it adds once, and follows a change of
    role, name or place and entities that were renamed meanwhile. A meter whose subentry does not say `CONF_ENERGY_DASHBOARD` is not in
    the dashboard, and is taken back from it. Entities that do not exist yet are waited for.
    """
    dashboard = await _async_dashboard(hass)
    return await dashboard.async_apply(entry, subentry)


async def async_withdraw(hass: HomeAssistant, identity: str) -> bool:
    """Take a meter's own entries back; return whether there were any.

    To be called when the meter is removed for good, not when it moves to another line.
    """
    dashboard = await _async_dashboard(hass)
    return await dashboard.async_withdraw(identity)


@singleton(f"{DOMAIN}_energy_dashboard")
async def _async_dashboard(hass: HomeAssistant) -> _Dashboard:
    dashboard = _Dashboard(hass)
    await dashboard.async_start()
    return dashboard


class _Dashboard:
    """The dashboard's preferences and what of them is ours."""

    def __init__(self, hass: HomeAssistant) -> None:
        self.hass = hass
        self._store: Store[dict[str, Any]] = Store(hass, STORAGE_VERSION, STORAGE_KEY)
        self._records: dict[str, dict[str, Any]] = {}
        """{identity: {wants: what the subentry said, list: SOURCES or DEVICES, item: as added or None
        if nothing was, entities: {quantity key: entity id}}}"""
        self._waiting: dict[str, tuple[str, str]] = {}
        """{identity: (entry id, subentry id)} of meters whose entities do not exist yet."""
        self._lock = asyncio.Lock()
        self._retry: Callable[[], None] | None = None

    async def async_start(self) -> None:
        """Read the store and follow the entity registry from now on."""
        stored = await self._store.async_load() or {}
        self._records = {
            identity: record
            for identity, record in stored.get("meters", {}).items()
            if isinstance(record, dict) and record.keys() >= {"wants", "list", "item", "entities"}
        }
        self.hass.bus.async_listen(er.EVENT_ENTITY_REGISTRY_UPDATED, self._async_registry_changed)

    # Planning

    async def async_plan(self, meters: Sequence[DashboardMeter]) -> list[PlannedChange]:
        preferences = await self._async_preferences()
        names = {meter.identity: meter.name for meter in meters if meter.role == ROLE_DEVICE}
        for identity, record in self._records.items():
            if record["list"] == DEVICES and record["item"] is not None:
                names.setdefault(identity, record["item"].get("name", identity))
        if preferences is not None:
            mine = {meter.identity for meter in meters}
            for identity in mine & self._records.keys():
                _take_out(preferences, self._records[identity])
        changes: list[PlannedChange] = []
        home_planned = False
        for meter in meters:
            part = dashboard_part(meter.role, meter.quantities, meter.production)
            if part is None:
                continue
            obstacle = part.obstacle
            if obstacle is None:
                entities = self._entity_ids(meter.identity, part)
                obstacle = self._obstacle(preferences, part, entities)
            if obstacle is None and part.role == ROLE_HOME:
                obstacle = Obstacle.HOME_TAKEN if home_planned else None
                home_planned = True
            if obstacle is not None:
                part = DashboardPart(role=part.role, obstacle=obstacle)
            inside = names.get(meter.inside or "") if part.role == ROLE_DEVICE else None
            changes.append(
                PlannedChange(meter=meter, part=part, inside=None if obstacle else inside)
            )
        return changes

    def _obstacle(
        self, preferences: Preferences | None, part: DashboardPart, entities: Mapping[str, str]
    ) -> Obstacle | None:
        """Why a part cannot be added to these preferences."""
        if preferences is None:
            return Obstacle.NO_DASHBOARD
        if part.role == ROLE_DEVICE:
            ours = entities.get(part.keys[FIELD_CONSUMPTION])
            taken = any(item.get(FIELD_CONSUMPTION) == ours for item in preferences[DEVICES])
            return Obstacle.ALREADY_THERE if ours is not None and taken else None
        sources = [item for item in preferences[SOURCES] if item.get("type") == part.role]
        if any(
            item.get(name) == entities[key]
            for name, key in part.keys.items()
            if name != FIELD_RATE and key in entities
            for item in sources
        ):
            return Obstacle.ALREADY_THERE
        if part.role == ROLE_HOME:
            if not _home_is_known():
                return Obstacle.HOME_UNKNOWN
            if sources:
                return Obstacle.HOME_TAKEN
        return None

    # Adding and taking back

    async def async_apply(self, entry: ConfigEntry, subentry: ConfigSubentry) -> bool:
        async with self._lock:
            return await self._async_apply(entry, subentry)

    async def _async_apply(self, entry: ConfigEntry, subentry: ConfigSubentry) -> bool:
        identity: str = subentry.data[CONF_IDENTITY]
        self._waiting.pop(identity, None)
        wants = _wants(subentry)
        if wants is None:
            await self._async_withdraw(identity)
            return False
        preferences = await self._async_preferences()
        if preferences is None:
            return False  # Not remembered: the dashboard may be set up later.
        record = self._records.get(identity)
        if record is not None and _same_place(record["wants"], wants):
            record["wants"] = wants
            await self._async_follow(identity)
            await self._async_refresh(identity, name=subentry.title)
            return False
        part = dashboard_part(wants["role"], self._quantities(identity), wants["production"])
        if part is None or part.obstacle is not None:
            await self._async_withdraw(identity)
            self._waiting[identity] = (entry.entry_id, subentry.subentry_id)
            return False
        if record is not None:
            await self._async_withdraw(identity)
            preferences = await self._async_preferences() or preferences
        entities = self._entity_ids(identity, part, enable=True)
        item: Item | None = None
        if self._obstacle(preferences, part, entities) is None:
            item = _item(part, entities, preferences, name=subentry.title)
            _list(preferences, part).append(item)
        self._records[identity] = {
            "wants": wants,
            "list": DEVICES if part.role == ROLE_DEVICE else SOURCES,
            "item": item,
            "entities": entities,
        }
        self._relink(preferences)
        await self._async_write(preferences)
        return item is not None

    async def async_withdraw(self, identity: str) -> bool:
        async with self._lock:
            self._waiting.pop(identity, None)
            return await self._async_withdraw(identity)

    async def _async_withdraw(self, identity: str) -> bool:
        record = self._records.pop(identity, None)
        if record is None:
            return False
        preferences = await self._async_preferences()
        removed = preferences is not None and _take_out(preferences, record)
        if preferences is not None:
            self._relink(preferences)
            await self._async_write(preferences)
        else:
            self._save()
        return removed

    def _relink(self, preferences: Preferences) -> None:
        """Point our devices to the device that they are inside of, as far as that is there."""
        consumption = {
            identity: record["entities"][key]
            for identity, record in self._records.items()
            if record["list"] == DEVICES
            for key in record["entities"]
            if QUANTITIES[key].counts is not None
        }
        there = {item.get(FIELD_CONSUMPTION) for item in preferences[DEVICES]}
        for record in self._records.values():
            if record["list"] != DEVICES or record["item"] is None:
                continue
            index = _find(preferences, record)
            if index is None:
                continue
            item = {key: value for key, value in record["item"].items() if key != _INSIDE}
            outer = consumption.get(record["wants"]["inside"] or "")
            if outer in there and not _circular(
                preferences[DEVICES], item[FIELD_CONSUMPTION], outer
            ):
                item[_INSIDE] = outer
            preferences[DEVICES][index] = record["item"] = item

    async def _async_refresh(self, identity: str, *, name: str) -> None:
        """Bring our entry up to date: sensors that there are by now, its name, a device's place."""
        record = self._records[identity]
        preferences = await self._async_preferences()
        if preferences is None:
            return
        before = deepcopy(self._records)
        index = _find(preferences, record)
        if index is not None:
            wants = record["wants"]
            part = dashboard_part(wants["role"], self._quantities(identity), wants["production"])
            if part is not None and set(part.keys.values()) > record["entities"].keys():
                record["entities"] = self._entity_ids(identity, part, enable=True)
                del preferences[record["list"]][index]
                record["item"] = _item(part, record["entities"], preferences, name=name)
                preferences[record["list"]].insert(index, record["item"])
            else:
                record["item"] = record["item"] | {"name": name}
                preferences[record["list"]][index] = record["item"]
        self._relink(preferences)
        if self._records != before:
            await self._async_write(preferences)

    # Entities and their names

    def _quantities(self, identity: str) -> set[str]:
        """Keys of the meter's sensors that a role could use; what the user has disabled is none."""
        registry = er.async_get(self.hass)
        found = set()
        for key in QUANTITIES:
            entity_id = registry.async_get_entity_id(SENSOR_DOMAIN, DOMAIN, f"{identity}_{key}")
            if entity_id is None:
                continue
            entity = registry.async_get(entity_id)
            if entity is not None and entity.disabled_by in {
                None,
                er.RegistryEntryDisabler.INTEGRATION,
            }:
                found.add(key)
        return found

    def _entity_ids(
        self, identity: str, part: DashboardPart, *, enable: bool = False
    ) -> dict[str, str]:
        """{quantity key: entity id}; sensors that are off by default are switched on if asked for."""
        registry = er.async_get(self.hass)
        found: dict[str, str] = {}
        for key in part.keys.values():
            entity_id = registry.async_get_entity_id(SENSOR_DOMAIN, DOMAIN, f"{identity}_{key}")
            if entity_id is None:
                continue
            found[key] = entity_id
            if enable and (entity := registry.async_get(entity_id)) and entity.disabled:
                registry.async_update_entity(entity_id, disabled_by=None)
        return found

    async def _async_follow(self, identity: str) -> None:
        """Bring our entries up to date with the entities' present ids."""
        record = self._records[identity]
        registry = er.async_get(self.hass)
        renamed: dict[str, str] = {}
        for key, entity_id in record["entities"].items():
            now = registry.async_get_entity_id(SENSOR_DOMAIN, DOMAIN, f"{identity}_{key}")
            if now is not None and now != entity_id:
                renamed[entity_id] = now
        preferences = await self._async_preferences() if renamed else None
        if preferences is None:
            return
        for name in (SOURCES, DEVICES):
            preferences[name] = [_renamed(item, renamed) for item in preferences[name]]
        for other in self._records.values():
            if other["item"] is not None:
                other["item"] = _renamed(other["item"], renamed)
        record["entities"] = {
            key: renamed.get(entity_id, entity_id) for key, entity_id in record["entities"].items()
        }
        await self._async_write(preferences)

    @callback
    def _async_registry_changed(self, event: Event[er.EventEntityRegistryUpdatedData]) -> None:
        data = event.data
        if data["action"] == "update" and "entity_id" in data["changes"]:
            old = data["changes"]["entity_id"]
            for identity, record in self._records.items():
                if old in record["entities"].values():
                    self.hass.async_create_task(
                        self._async_follow_locked(identity), eager_start=True
                    )
                    return
        elif data["action"] == "create" and self._waiting and self._retry is None:
            entity = er.async_get(self.hass).async_get(data["entity_id"])
            if entity is not None and entity.platform == DOMAIN:
                self._retry = async_call_later(self.hass, SETTLE, self._async_retry)

    async def _async_follow_locked(self, identity: str) -> None:
        async with self._lock:
            if identity in self._records:
                await self._async_follow(identity)

    async def _async_retry(self, _now: object) -> None:
        self._retry = None
        for entry_id, subentry_id in list(self._waiting.values()):
            entry = self.hass.config_entries.async_get_entry(entry_id)
            subentry = entry.subentries.get(subentry_id) if entry else None
            if entry is not None and subentry is not None:
                await self.async_apply(entry, subentry)

    # The preferences

    async def _async_preferences(self) -> Preferences | None:
        """A copy of the dashboard's preferences to change; None if there is no dashboard."""
        if ENERGY not in self.hass.config.components:
            return None
        from homeassistant.components.energy.data import async_get_manager

        manager = await async_get_manager(self.hass)
        data: Mapping[str, Any] = manager.data or manager.default_preferences()
        return {name: list(data.get(name, [])) for name in (SOURCES, DEVICES)}

    async def _async_write(self, preferences: Preferences) -> None:
        """Save what differs, and what is ours."""
        from homeassistant.components.energy.data import EnergyPreferencesUpdate, async_get_manager

        manager = await async_get_manager(self.hass)
        before: Mapping[str, Any] = manager.data or manager.default_preferences()
        update = {name: items for name, items in preferences.items() if items != before.get(name)}
        if update:
            await manager.async_update(cast("EnergyPreferencesUpdate", update))
        self._save()

    @callback
    def _save(self) -> None:
        self._store.async_delay_save(lambda: {"meters": self._records}, 1.0)


def _wants(subentry: ConfigSubentry) -> dict[str, Any] | None:
    """What a meter wants of the dashboard; None for nothing."""
    role = subentry.data.get(CONF_ROLE, ROLE_NONE)
    if role == ROLE_NONE or not subentry.data.get(CONF_ENERGY_DASHBOARD, False):
        return None
    produces = role in {ROLE_SOLAR, ROLE_BATTERY}
    return {
        "role": role,
        "production": subentry.data.get(CONF_PRODUCTION) if produces else None,
        "inside": subentry.data.get(CONF_INSIDE) if role == ROLE_DEVICE else None,
    }


def _same_place(before: Mapping[str, Any], wants: Mapping[str, Any]) -> bool:
    """Whether nothing has to move, though a device may be inside of another one now."""
    return all(before.get(name) == wants[name] for name in ("role", "production"))


def _home_is_known() -> bool:
    from homeassistant.components.energy import data

    return hasattr(data, "HomeSourceType")


def _list(preferences: Preferences, part: DashboardPart) -> list[Item]:
    return preferences[DEVICES if part.role == ROLE_DEVICE else SOURCES]


def _item(
    part: DashboardPart, entities: Mapping[str, str], preferences: Preferences, *, name: str
) -> Item:
    """The entry to add; an entity that does not exist is left out."""
    stats = {field: entities[key] for field, key in part.keys.items() if key in entities}
    power = stats.pop(FIELD_RATE, None)
    if part.role == ROLE_DEVICE:
        return stats | {"name": name} | ({FIELD_RATE: power} if power else {})
    item: Item = {"type": part.role, "name": name, **stats}
    if part.role == ROLE_GRID:
        item = {
            "type": ROLE_GRID,
            "name": name,
            FIELD_FROM: stats.get(FIELD_FROM),
            FIELD_TO: stats.get(FIELD_TO),
            "stat_cost": None,
            "entity_energy_price": None,
            "number_energy_price": None,
            "stat_compensation": None,
            "entity_energy_price_export": None,
            "number_energy_price_export": None,
            "cost_adjustment_day": 0.0,
        }
        if any(power == other.get(FIELD_RATE) for other in preferences[SOURCES]):
            power = None  # The dashboard refuses one power sensor in two connections to the grid.
    elif part.role == ROLE_SOLAR:
        item["config_entry_solar_forecast"] = None
    if power is None:
        return item
    if part.role in {ROLE_GRID, ROLE_BATTERY}:
        return item | {
            _POWER_CONFIG: {"stat_rate_inverted" if part.power_inverted else FIELD_RATE: power}
        }
    return item | {FIELD_RATE: power}


def _bare(item: Item) -> Item:
    """An entry without what the dashboard fills in by itself."""
    return {
        key: value
        for key, value in item.items()
        if value is not None and not (key == FIELD_RATE and _POWER_CONFIG in item)
    }


def _find(preferences: Preferences, record: Mapping[str, Any]) -> int | None:
    """Where our entry is, if it is there as we added it."""
    if record["item"] is None:
        return None
    ours = _bare(record["item"])
    for index, item in enumerate(preferences[record["list"]]):
        if _bare(item) == ours:
            return index
    return None


def _take_out(preferences: Preferences, record: Mapping[str, Any]) -> bool:
    index = _find(preferences, record)
    if index is None:
        return False
    del preferences[record["list"]][index]
    return True


def _renamed(item: Item, renamed: Mapping[str, str]) -> Item:
    """An entry with entity ids replaced, wherever they stand."""
    result: Item = {}
    for key, value in item.items():
        if isinstance(value, str) and key.startswith(("stat_", _INSIDE)):
            result[key] = renamed.get(value, value)
        elif key == _POWER_CONFIG:
            result[key] = _renamed(value, renamed)
        else:
            result[key] = value
    return result


def _circular(devices: Iterable[Item], inner: str, outer: str | None) -> bool:
    """Whether `outer` is, through others, inside `inner`."""
    inside = {item[FIELD_CONSUMPTION]: item.get(_INSIDE) for item in devices}
    seen: set[str] = set()
    while outer is not None and outer not in seen:
        if outer == inner:
            return True
        seen.add(outer)
        outer = inside.get(outer)
    return False
