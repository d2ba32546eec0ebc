"""Sensors of load shedding: how it stands, why, what is off, what comes next, and the room at each limit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, UnitOfElectricCurrent, UnitOfPower
from homeassistant.core import callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from ..load_shedding import Measure, Next, Outlook, Reason, Status
from .const import SHED_LOADS
from .entity import LimitEntity, ShedderEntity
from .runtime import ShedderRuntime

UNITS: Final = {
    Measure.POWER: UnitOfPower.WATT,
    Measure.CURRENT: UnitOfElectricCurrent.AMPERE,
}
CLASSES: Final = {
    Measure.POWER: SensorDeviceClass.POWER,
    Measure.CURRENT: SensorDeviceClass.CURRENT,
}


@dataclass(frozen=True, kw_only=True)
class ShedderSensorDescription(SensorEntityDescription):
    """Something that the outlook says."""

    value_fn: Callable[[Outlook], str | int | datetime | None]
    attributes_fn: Callable[[ShedderRuntime], Mapping[str, Any]] = lambda _runtime: {}


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(round(at), UTC)


def _about_limit(runtime: ShedderRuntime) -> Mapping[str, Any]:
    """The limit that the reason is about; its figures are those of its headroom sensor."""
    limit_id = runtime.outlook.limit
    if limit_id is None or limit_id not in runtime.limits:
        return {"limit": None}
    return {"limit": runtime.limit_name(limit_id)}


def _shed_loads(runtime: ShedderRuntime) -> Mapping[str, Any]:
    memory = runtime.controller.memory
    return {
        "loads": [runtime.load_name(load_id) for load_id in runtime.outlook.shed],
        "since": [
            _time(shed.at)
            for load_id in runtime.outlook.shed
            if (shed := memory.load(load_id).shed) is not None
        ],
        "entity_ids": [runtime.devices[load_id].entity_id for load_id in runtime.outlook.shed],
    }


def _next_action(runtime: ShedderRuntime) -> Mapping[str, Any]:
    return {
        "load": runtime.load_name(runtime.outlook.next_load),
        "at": _time(runtime.outlook.next_at),
    }


SHEDDER_SENSORS: Final = (
    ShedderSensorDescription(
        key="shedding_status",
        translation_key="shedding_status",
        device_class=SensorDeviceClass.ENUM,
        options=[status.value for status in Status],
        value_fn=lambda outlook: outlook.status.value,
    ),
    ShedderSensorDescription(
        key="shedding_reason",
        translation_key="shedding_reason",
        device_class=SensorDeviceClass.ENUM,
        options=[reason.value for reason in Reason],
        value_fn=lambda outlook: outlook.reason.value,
        attributes_fn=_about_limit,
    ),
    ShedderSensorDescription(
        key=SHED_LOADS,
        translation_key=SHED_LOADS,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=0,
        value_fn=lambda outlook: len(outlook.shed),
        attributes_fn=_shed_loads,
    ),
    ShedderSensorDescription(
        key="shedding_next",
        translation_key="shedding_next",
        device_class=SensorDeviceClass.ENUM,
        options=[action.value for action in Next],
        value_fn=lambda outlook: outlook.next.value,
        attributes_fn=_next_action,
    ),
    ShedderSensorDescription(
        key="shedding_next_time",
        translation_key="shedding_next_time",
        device_class=SensorDeviceClass.TIMESTAMP,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda outlook: _time(outlook.next_at),
    ),
)
HEADROOM: Final = "headroom"


class ShedderSensor(ShedderEntity, SensorEntity):
    """Something that the outlook says."""

    entity_description: ShedderSensorDescription

    def __init__(self, runtime: ShedderRuntime, description: ShedderSensorDescription) -> None:
        """Show this."""
        super().__init__(runtime, description.key)
        self.entity_description = description
        self._attr_extra_state_attributes = {}

    @callback
    @override
    def _take(self) -> bool:
        value = self.entity_description.value_fn(self.runtime.outlook)
        attributes = dict(self.entity_description.attributes_fn(self.runtime))
        if value == self._attr_native_value and attributes == self._attr_extra_state_attributes:
            return False
        self._attr_native_value = value
        self._attr_extra_state_attributes = attributes
        return True


class HeadroomSensor(LimitEntity, SensorEntity):
    """What may flow in addition; negative when it is too much already."""

    _attr_state_class = SensorStateClass.MEASUREMENT

    def __init__(self, runtime: ShedderRuntime, limit_id: str) -> None:
        """Show the room at a limit."""
        super().__init__(runtime, limit_id, HEADROOM)
        measure = runtime.limits[limit_id].measure
        self._attr_translation_key = HEADROOM
        self._attr_device_class = CLASSES[measure]
        self._attr_native_unit_of_measurement = UNITS[measure]
        self._attr_suggested_display_precision = 0 if measure is Measure.POWER else 1
        self._attr_extra_state_attributes = {}

    @callback
    @override
    def _take(self) -> bool:
        gauge = self.runtime.controller.gauges.get(self.limit_id)
        now = self.runtime.now
        headroom = gauge.headroom(now) if gauge is not None else None
        value = None if headroom is None else round(headroom, 2)
        available = value is not None
        bound = gauge.bound(now) if gauge is not None else None
        if (value, available) == (self._attr_native_value, self._attr_available):
            return False
        self._attr_native_value, self._attr_available = value, available
        measured = gauge.value if gauge is not None else None
        self._attr_extra_state_attributes = {
            "measured": None if measured is None else round(measured, 2),
            "limit": None if bound is None else round(bound, 2),
        }
        return True


@callback
def async_add_sensors(
    runtime: ShedderRuntime, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the sensors, and those of every limit that there is or will be."""
    async_add_entities(ShedderSensor(runtime, description) for description in SHEDDER_SENSORS)
    known: set[str] = set()

    @callback
    def add() -> None:
        new = runtime.limits.keys() - known
        known.intersection_update(runtime.limits)
        known.update(new)
        async_add_entities(HeadroomSensor(runtime, limit_id) for limit_id in new)

    runtime.async_on_plan(add)
    add()
