"""Sensors of meters that nobody has installed: totals of a panel and of its phases, and "everything else".

A total adds up the circuits that measure no other circuit too. What a main meter measures and none of the circuits
inside it does is everything else. Looked at once a second for a whole panel, not with every reading.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorStateClass
from homeassistant.const import UnitOfEnergy, UnitOfPower
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.event import async_track_time_interval
from homeassistant.helpers.restore_state import ExtraStoredData, RestoreEntity

from .bridge_runtime import BridgeRuntime
from .bridge_shape import HUBS
from .const import CONF_INSIDE, CONF_PHASE, DOMAIN, PHASES
from .coordinator import MeterCoordinator
from .metering.virtual import EnergySum, power_sum, without_parents

INTERVAL: Final = timedelta(seconds=1)
VIRTUAL_KEYS: Final = (
    "total_power",
    "total_power_phase",
    "rest_power",
    "total_energy",
    "total_energy_phase",
    "rest_energy",
)
_IMPORT, _EXPORT = "energy_import", "energy_export"


@dataclass(frozen=True, slots=True)
class Plan:
    """One virtual meter: what it is known by, how it is called, what it is made of."""

    key: str
    kind: str
    """`total`, `total_phase` or `rest`; decides the name."""
    placeholders: tuple[tuple[str, str], ...]
    signs: tuple[tuple[str, int], ...]
    """(a meter's identity, +1 or -1)."""
    net: bool
    """Whether what is exported is taken off."""

    def translation_key(self, what: str) -> str:
        """Of its sensor for `power` or `energy`."""
        base, _, rest = self.kind.partition("_")
        return f"{base}_{what}{'_' + rest if rest else ''}"


def plan_virtual(meters: Iterable[MeterCoordinator]) -> list[Plan]:
    """The virtual meters of a panel.

    A total needs two circuits, a rest one circuit that is inside.
    """
    by_identity = {meter.identity: meter for meter in meters}
    inside = {
        identity: outer
        for identity, meter in by_identity.items()
        if (outer := meter.subentry.data.get(CONF_INSIDE)) in by_identity
    }
    circuits = without_parents(by_identity, inside)
    plans = []
    if len(circuits) > 1:
        plans.append(Plan("total", "total", (), tuple((each, 1) for each in circuits), False))
    for phase in PHASES:
        on_phase = [
            each for each in circuits if by_identity[each].subentry.data.get(CONF_PHASE) == phase
        ]
        if len(on_phase) > 1:
            signs = tuple((each, 1) for each in on_phase)
            placeholders = (("phase", phase.upper()),)
            plans.append(Plan(f"total_{phase}", "total_phase", placeholders, signs, False))
    for outer in dict.fromkeys(inside.values()):
        signs = ((outer, 1), *((each, -1) for each, into in inside.items() if into == outer))
        placeholders = (("name", by_identity[outer].name),)
        plans.append(Plan(f"rest_{outer}", "rest", placeholders, signs, True))
    return plans


class VirtualMeters:
    """The virtual meters of one panel, as they follow its circuits."""

    def __init__(
        self, runtime: BridgeRuntime, async_add_entities: AddConfigEntryEntitiesCallback
    ) -> None:
        """Take the panel; `start` begins."""
        self.runtime = runtime
        self.meters: Mapping[str, MeterCoordinator] = {}
        self._add = async_add_entities
        self._shown: dict[Plan, tuple[VirtualSensor, ...]] = {}

    @callback
    def start(self, hass: HomeAssistant) -> None:
        """Look once a second, until the entry is unloaded."""
        self.runtime.entry.async_on_unload(
            async_track_time_interval(hass, self._look, INTERVAL, name=f"{DOMAIN} virtual meters")
        )

    async def _look(self, _now: datetime) -> None:
        self.meters = {meter.identity: meter for meter in self.runtime.meters.values()}
        plans = dict.fromkeys(plan_virtual(self.meters.values()))
        for plan in self._shown.keys() - plans.keys():
            for entity in self._shown.pop(plan):
                await entity.async_remove()
        new = [plan for plan in plans if plan not in self._shown]
        for plan in new:
            self._shown[plan] = (VirtualPower(self, plan), VirtualEnergy(self, plan))
        if new:
            self._add([entity for plan in new for entity in self._shown[plan]])
        for entities in self._shown.values():
            for entity in entities:
                entity.async_look()


class VirtualSensor(SensorEntity):
    """One figure of a virtual meter, on the panel's own device."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    _attr_available = False
    what: str

    def __init__(self, owner: VirtualMeters, plan: Plan) -> None:
        """Show this figure of this virtual meter."""
        entry_id = owner.runtime.entry.entry_id
        self.owner = owner
        self.plan = plan
        self._attr_unique_id = f"{entry_id}_{plan.key}_{self.what}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, entry_id)})
        self._attr_translation_key = plan.translation_key(self.what)
        self._attr_translation_placeholders = dict(plan.placeholders)
        self._there = False

    @override
    async def async_added_to_hass(self) -> None:
        """From now on there is something to write to."""
        await super().async_added_to_hass()
        self._there = True

    @override
    async def async_will_remove_from_hass(self) -> None:
        """There is nothing to write to any more."""
        self._there = False
        await super().async_will_remove_from_hass()

    @callback
    def async_look(self) -> None:
        """Take what there is to show; write only what has changed."""
        if not self._there:
            return
        before = (self._attr_available, self._attr_native_value)
        self._take()
        if before != (self._attr_available, self._attr_native_value):
            self.async_write_ha_state()

    def _take(self) -> None:
        raise NotImplementedError


class VirtualPower(VirtualSensor):
    """Power now; unavailable as soon as one of its meters is."""

    what = "power"
    _attr_device_class = SensorDeviceClass.POWER
    _attr_state_class = SensorStateClass.MEASUREMENT
    _attr_native_unit_of_measurement = UnitOfPower.WATT
    _attr_suggested_display_precision = 1

    def _power(self, identity: str) -> float | None:
        meter = self.owner.meters.get(identity)
        return meter.values.get("power") if meter and meter.is_fresh("power") else None

    @override
    def _take(self) -> None:
        total = power_sum(dict(self.plan.signs), self._power)
        self._attr_available = total is not None
        self._attr_native_value = None if total is None else round(total, 1)


@dataclass(frozen=True, slots=True)
class _Kept(ExtraStoredData):
    state: dict[str, Any]

    @override
    def as_dict(self) -> dict[str, Any]:
        return self.state


class VirtualEnergy(VirtualSensor, RestoreEntity):
    """Energy since the virtual meter came to be; keeps its value while one of its meters is away."""

    what = "energy"
    _attr_device_class = SensorDeviceClass.ENERGY
    _attr_state_class = SensorStateClass.TOTAL_INCREASING
    _attr_native_unit_of_measurement = UnitOfEnergy.KILO_WATT_HOUR
    _attr_suggested_display_precision = 2

    def __init__(self, owner: VirtualMeters, plan: Plan) -> None:
        """Begin at zero, until it is known what was before."""
        super().__init__(owner, plan)
        self._sum = self._make(None)

    def _make(self, state: object) -> EnergySum:
        signs = {f"{identity} {_IMPORT}": sign for identity, sign in self.plan.signs}
        if self.plan.net:
            signs |= {f"{identity} {_EXPORT}": -sign for identity, sign in self.plan.signs}
        return EnergySum(signs, state)

    @override
    async def async_added_to_hass(self) -> None:
        """Go on where it was left."""
        if (kept := await self.async_get_last_extra_data()) is not None:
            self._sum = self._make(kept.as_dict())
        await super().async_added_to_hass()

    @property
    @override
    def extra_restore_state_data(self) -> ExtraStoredData:
        """What has to be known after a restart."""
        return _Kept(self._sum.state)

    @override
    def _take(self) -> None:
        for identity, _sign in self.plan.signs:
            meter = self.owner.meters.get(identity)
            for counter in (_IMPORT, _EXPORT) if self.plan.net else (_IMPORT,):
                total = meter.values.get(counter) if meter else None
                if total is not None:
                    self._sum.take(f"{identity} {counter}", total)
        self._attr_available = True
        self._attr_native_value = round(self._sum.energy, 3)


@callback
def async_add_virtual(
    hass: HomeAssistant,
    runtime: BridgeRuntime,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Have the virtual meters of a panel as soon as it is known that the bridge is one."""
    started = False

    @callback
    def look() -> None:
        nonlocal started
        if not started and runtime.hello is not None and runtime.hello.kind in HUBS:
            started = True
            VirtualMeters(runtime, async_add_entities).start(hass)

    runtime.entry.async_on_unload(runtime.async_on_hello(look))
