"""From the data of a bridge's entry to the link that leads to it."""

from collections.abc import Mapping
from typing import Any, Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_DEVICE, CONF_HOST, CONF_PORT, CONF_WEBHOOK_ID
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryNotReady

from .bridge_mqtt import MqttLink, mqtt_ready
from .bridge_webhook import WebhookLink
from .const import (
    CONF_BAUDRATE,
    CONF_BRIDGE,
    CONF_BUS,
    CONF_KEY,
    CONF_LOCAL_ONLY,
    CONF_PREFIX,
    CONF_WAY,
    DOMAIN,
    WAY_HTTP,
    WAY_I2C,
    WAY_MQTT,
    WAY_SERIAL,
    WAY_TCP,
)
from .sources.bridge import BridgeLink, SerialLink, TcpLink

_PLACE: Final[Mapping[str, tuple[str, ...]]] = {
    WAY_SERIAL: (CONF_DEVICE,),
    WAY_TCP: (CONF_HOST, CONF_PORT),
    WAY_HTTP: (CONF_WEBHOOK_ID,),
    WAY_MQTT: (CONF_PREFIX, CONF_BRIDGE),
    WAY_I2C: (CONF_BUS,),
}
"""What tells one place from another, for each way."""


def make_link(hass: HomeAssistant, entry: ConfigEntry) -> BridgeLink:
    """The link of an entry; nothing is opened by it.

    Raises:
        ConfigEntryNotReady: it needs Home Assistant's `mqtt`, and that does not run (yet).
    """
    if entry.data[CONF_WAY] == WAY_MQTT and not mqtt_ready(hass):
        raise ConfigEntryNotReady(translation_domain=DOMAIN, translation_key="bridge_mqtt_missing")
    return link_from_data(hass, entry.data, entry.title)


def link_from_data(hass: HomeAssistant, data: Mapping[str, Any], name: str) -> BridgeLink:
    """The link that an entry with this data would have.

    Args:
        hass: Home Assistant.
        data: of the entry.
        name: of the bridge, for lists.
    """
    way = data[CONF_WAY]
    if way == WAY_SERIAL:
        return SerialLink(data[CONF_DEVICE], data[CONF_BAUDRATE])
    if way == WAY_TCP:
        return TcpLink(data[CONF_HOST], data[CONF_PORT], data.get(CONF_KEY))
    if way == WAY_HTTP:
        return WebhookLink(
            hass,
            data[CONF_WEBHOOK_ID],
            name=name,
            key=data.get(CONF_KEY),
            local_only=data.get(CONF_LOCAL_ONLY, True),
        )
    return MqttLink(hass, data[CONF_PREFIX], data[CONF_BRIDGE])


def place_of(data: Mapping[str, Any]) -> tuple[Any, ...]:
    """Where a bridge is reached: two entries with the same place would disturb each other."""
    return (data[CONF_WAY], *(data[key] for key in _PLACE[data[CONF_WAY]]))
