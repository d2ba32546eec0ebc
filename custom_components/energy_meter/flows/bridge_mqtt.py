"""A bridge behind the MQTT broker: announced there by its hello, or told by its topics."""

from typing import Any, Final

from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.service_info.mqtt import MqttServiceInfo

from ..bridge_mqtt import MqttLink, is_bridge_id, is_prefix, mqtt_ready
from ..const import CONF_BRIDGE, CONF_PREFIX, CONF_WAY, WAY_MQTT
from ..sources.base import SourceError
from ..sources.bridge import BadLine
from ..sources.bridge.protocol import HelloMessage, parse_line
from .base import Result
from .bridge import BridgeSteps, Data
from .bridge_ear import Heard, overhear
from .bridge_forms import address_form, mqtt_form
from .trouble import Trouble

_LISTEN: Final = 12.0
"""Seconds; twice the pace of a board that does not say another one, and some."""
_LEVELS: Final = 3
"""Of the topics that bridges are announced by."""


class BridgeMqttSteps(BridgeSteps):
    """Ask for the topics, or take those of the announcement; listen."""

    async def async_step_bridge_mqtt(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the topics."""
        if not mqtt_ready(self.hass):
            raise AbortFlow("bridge_mqtt_missing")
        self.form_step = "bridge_mqtt"
        trouble = self.async_take_trouble()
        if user_input is not None:
            prefix = user_input[CONF_PREFIX].strip().strip("/")
            bridge = user_input[CONF_BRIDGE].strip()
            if not is_prefix(prefix):
                trouble = Trouble("bridge_bad_prefix", field=CONF_PREFIX)
            elif not is_bridge_id(bridge):
                trouble = Trouble("bridge_bad_id", field=CONF_BRIDGE)
            else:
                data = {CONF_WAY: WAY_MQTT, CONF_PREFIX: prefix, CONF_BRIDGE: bridge}
                return await self.async_listen(
                    data, user_input, self._async_hear_mqtt, _async_explain_mqtt
                )
        return self.show(
            "bridge_mqtt",
            mqtt_form(anyway=self.offer_bridge_anyway),
            trouble,
            filled=user_input or self.present(WAY_MQTT),
        )

    async def async_step_mqtt(self, discovery_info: MqttServiceInfo) -> Result:
        """A bridge says hello on the broker."""
        levels = discovery_info.topic.split("/")
        hello = _hello(discovery_info.payload)
        if hello is None or len(levels) != _LEVELS or not is_bridge_id(levels[1]):
            return self.async_abort(reason="bridge_invalid_discovery")
        prefix, bridge, _ = levels
        await self.async_set_unique_id(bridge)
        self.abort_if_bridge_known(bridge)
        self.bridge_data = {CONF_WAY: WAY_MQTT, CONF_PREFIX: prefix, CONF_BRIDGE: bridge}
        self.abort_if_place_used()
        await self.async_prepare_bridge()
        self.heard = Heard(hello.hello)
        name = (hello.hello and hello.hello.name) or bridge
        self.context["title_placeholders"] = {"name": name}
        return await self.async_step_bridge_announced()

    async def async_step_bridge_announced(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask whether a bridge that was announced on the broker is wanted."""
        self.form_step = "bridge_announced"
        trouble = self.async_take_trouble()
        if user_input is not None:
            if not mqtt_ready(self.hass):
                raise AbortFlow("bridge_mqtt_missing")
            return await self.async_listen(
                self.bridge_data, user_input, self._async_hear_mqtt, _async_explain_mqtt
            )
        return self.show(
            "bridge_announced",
            address_form(anyway=self.offer_bridge_anyway),
            trouble,
            placeholders=self.context["title_placeholders"],
        )

    async def _async_hear_mqtt(self, data: Data) -> Heard:
        """Who is there and what its meters show.

        Raises:
            SourceError: nothing comes.
            HomeAssistantError: `mqtt` is not there any more.
        """
        heard = await overhear(MqttLink(self.hass, data[CONF_PREFIX], data[CONF_BRIDGE]), _LISTEN)
        if heard.hello is None:
            raise SourceError("bridge_mqtt_silent")
        return heard


def _hello(payload: str | bytes | bytearray) -> HelloMessage | None:
    """The hello of an announcement; None if it is none."""
    try:
        message, _ = parse_line(payload.encode() if isinstance(payload, str) else bytes(payload))
    except BadLine:
        return None
    return message if isinstance(message, HelloMessage) else None


async def _async_explain_mqtt(err: Exception, data: Data) -> Trouble:
    topic = {"topic": f"{data[CONF_PREFIX]}/{data[CONF_BRIDGE]}"}
    if isinstance(err, SourceError):
        return Trouble(err.key, {**topic, **err.placeholders})
    return Trouble("bridge_mqtt_gone", {**topic, "detail": str(err)})
