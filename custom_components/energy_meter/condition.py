"""Conditions of our own for the automation editor: how alarms stand."""

from typing import Final

from homeassistant.components.binary_sensor.const import (
    DOMAIN as BINARY_SENSOR_DOMAIN,
    BinarySensorDeviceClass,
)
from homeassistant.const import STATE_OFF, STATE_ON
from homeassistant.core import HomeAssistant
from homeassistant.helpers.automation import DomainSpec
from homeassistant.helpers.condition import Condition, make_entity_state_condition

_ALARMS: Final = {BINARY_SENSOR_DOMAIN: DomainSpec(device_class=BinarySensorDeviceClass.PROBLEM)}

CONDITIONS: Final[dict[str, type[Condition]]] = {
    "limit_is_exceeded": make_entity_state_condition(_ALARMS, STATE_ON),
    "limit_is_clear": make_entity_state_condition(_ALARMS, STATE_OFF),
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions of this integration."""
    return CONDITIONS
