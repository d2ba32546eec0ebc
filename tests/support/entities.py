"""The entities of a meter, and what they show."""

from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er

from custom_components.energy_meter.const import DOMAIN


def entity_id(
    hass: HomeAssistant, key: str, identity: str = "meter_1", platform: str = "sensor"
) -> str:
    """The entity of a meter's quantity or control."""
    found = er.async_get(hass).async_get_entity_id(platform, DOMAIN, f"{identity}_{key}")
    assert found is not None, f"no {platform} {key} of {identity}"
    return found


def state(
    hass: HomeAssistant, key: str, identity: str = "meter_1", platform: str = "sensor"
) -> State:
    """The state of a meter's quantity or control."""
    found = hass.states.get(entity_id(hass, key, identity, platform))
    assert found is not None
    return found
