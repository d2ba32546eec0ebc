"""Conditions of our own for the automation editor: how alarms stand, and whether load shedding has something off.

They look at our own entities only, also where a device or an area is chosen that has others besides.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, override

from homeassistant.components.binary_sensor.const import (
    DOMAIN as BINARY_SENSOR_DOMAIN,
    BinarySensorDeviceClass,
)
from homeassistant.components.sensor.const import DOMAIN as SENSOR_DOMAIN
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import Condition, EntityConditionBase

from .alarms.data import KEY_PREFIX, KIND_TAMPER
from .const import DOMAIN
from .metering.limits import LimitKind
from .shedder.const import SHED_LOADS

_LIMITS: Final = frozenset(f"{KEY_PREFIX}_{kind.value}" for kind in LimitKind)
_SENSORS: Final[Mapping[str, DomainSpec]] = {SENSOR_DOMAIN: DomainSpec()}


class _OwnCondition(EntityConditionBase):
    """Entities of this integration are in a certain state."""

    _domain_specs: Mapping[str, DomainSpec] = {
        BINARY_SENSOR_DOMAIN: DomainSpec(device_class=BinarySensorDeviceClass.PROBLEM)
    }
    keys: ClassVar[frozenset[str]] = _LIMITS
    """Translation keys of the entities that it is about."""
    asked: ClassVar[str] = STATE_ON
    """The state that is asked for."""

    @override
    def entity_filter(self, entities: set[str]) -> set[str]:
        registry = er.async_get(self._hass)
        return {
            entity_id
            for entity_id in super().entity_filter(entities)
            if (entry := registry.async_get(entity_id)) is not None
            and entry.platform == DOMAIN
            and entry.translation_key in self.keys
        }

    @override
    def is_valid_state(self, entity_state: State) -> bool:
        return entity_state.state == self.asked


class LimitIsExceeded(_OwnCondition):
    """Limits of meters are exceeded."""


class LimitIsClear(_OwnCondition):
    """Limits of meters are not exceeded."""

    asked = STATE_OFF


class MeterIsSilent(_OwnCondition):
    """Meters with an alarm on their silence are silent."""

    keys = frozenset({f"{KEY_PREFIX}_{LimitKind.SILENT.value}"})


class TamperIsSuspected(_OwnCondition):
    """There are signs of tampering at meters."""

    _domain_specs: Mapping[str, DomainSpec] = {
        BINARY_SENSOR_DOMAIN: DomainSpec(device_class=BinarySensorDeviceClass.TAMPER)
    }
    keys = frozenset({f"{KEY_PREFIX}_{KIND_TAMPER}"})


class LoadIsShed(_OwnCondition):
    """Load shedding has loads off, or set to less."""

    _domain_specs = _SENSORS
    keys = frozenset({SHED_LOADS})
    asked = "0"

    @override
    def is_valid_state(self, entity_state: State) -> bool:
        return entity_state.state != self.asked


class LoadsAreRestored(_OwnCondition):
    """Load shedding has nothing off."""

    _domain_specs = _SENSORS
    keys = frozenset({SHED_LOADS})
    asked = "0"


CONDITIONS: Final[dict[str, type[Condition]]] = {
    "limit_is_exceeded": LimitIsExceeded,
    "limit_is_clear": LimitIsClear,
    "meter_is_silent": MeterIsSilent,
    "tamper_is_suspected": TamperIsSuspected,
    "load_is_shed": LoadIsShed,
    "loads_are_restored": LoadsAreRestored,
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions of this integration."""
    return CONDITIONS
