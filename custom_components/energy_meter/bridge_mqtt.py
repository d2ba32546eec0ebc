"""Bridges behind the MQTT broker that Home Assistant's own `mqtt` is connected to."""

from collections.abc import Callable
import re
from typing import Any, Final, override

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError

from .sources.bridge import BridgeLink, BridgeSession

MQTT: Final = "mqtt"
QOS: Final = 1
MAX_PAYLOAD: Final = 1_048_576
"""Bytes of one message; a broker would pass on 256 MB."""
ONLINE: Final = b"online"
OFFLINE: Final = b"offline"

_BRIDGE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")


def is_bridge_id(text: str) -> bool:
    """Whether a bridge may be called so: 1 to 32 letters, digits, `-` and `_`."""
    return _BRIDGE_ID.fullmatch(text) is not None


def is_prefix(text: str) -> bool:
    """Whether topics may begin like this: levels that are neither empty nor wildcards, in valid UTF-8."""
    levels = text.split("/")
    return (
        len(text) <= 200
        and all(levels)
        and not any(set(level) & set("+#\0") for level in levels)
        and text.isprintable()
    )


@callback
def mqtt_ready(hass: HomeAssistant) -> bool:
    """Whether Home Assistant's own `mqtt` runs; whether its broker answers is another matter."""
    return any(
        entry.state is ConfigEntryState.LOADED for entry in hass.config_entries.async_entries(MQTT)
    )


class MqttLink(BridgeLink):
    """One bridge's topics."""

    def __init__(self, hass: HomeAssistant, prefix: str, bridge: str) -> None:
        """Keep where the topics are; nothing is subscribed before `start`."""
        self._hass = hass
        self._topic = f"{prefix}/{bridge}"
        self._session: BridgeSession | None = None
        self._unsubscribe: list[Callable[[], None]] = []
        self._connected = False
        self._online: bool | None = None
        """What the bridge's status says; None while it says nothing."""
        self._hello: bytes | None = None
        """A retained hello that came before anything told that the bridge is there."""

    @override
    async def start(self, session: BridgeSession) -> None:
        """Subscribe.

        Raises:
            HomeAssistantError: `mqtt` does not run.
        """
        from homeassistant.components import mqtt

        self._session = session
        for level, take in (
            ("status", self._take_status),
            ("hello", self._take_hello),
            ("up", self._take_up),
        ):
            self._unsubscribe.append(
                await mqtt.async_subscribe(
                    self._hass, f"{self._topic}/{level}", take, QOS, encoding=None
                )
            )
        self._unsubscribe.append(mqtt.async_subscribe_connection_status(self._hass, self._broker))

    @override
    async def stop(self) -> None:
        """Unsubscribe."""
        while self._unsubscribe:
            self._unsubscribe.pop()()
        self._leave()
        self._session = None

    @override
    def send(self, line: bytes) -> None:
        """Publish a message to the bridge; dropped while it is not there."""
        if self._connected:
            self._hass.async_create_task(self._async_publish(line), f"energy meter {self._topic}")

    @property
    @override
    def connected(self) -> bool:
        """Whether the broker and the bridge behind it are there."""
        return self._connected

    @override
    def describe(self) -> str:
        """The topics, which are no secret."""
        return f"MQTT {self._topic}"

    async def _async_publish(self, line: bytes) -> None:
        from homeassistant.components import mqtt

        try:
            await mqtt.async_publish(self._hass, f"{self._topic}/down", line, QOS)
        except HomeAssistantError:
            # The broker went away in this very moment; what it was sent for is told by the missing answer.
            self._leave()

    @callback
    def _broker(self, connected: bool) -> None:
        """The broker went or came back; what it has kept for us comes by itself after that."""
        if not connected:
            self._online = self._hello = None
            self._leave()

    @callback
    def _take_status(self, message: Any) -> None:
        status = _bytes(message.payload).strip()
        if status == ONLINE:
            self._online = True
            self._arrive()
        elif status == OFFLINE:
            self._online = False
            self._leave()

    @callback
    def _take_hello(self, message: Any) -> None:
        if not message.retain:
            self._arrive()
        if self._connected:
            self._feed(message.payload)
        else:
            # The broker keeps a hello; it is there even if the bridge is not.
            self._hello = _bytes(message.payload)

    @callback
    def _take_up(self, message: Any) -> None:
        # What the broker has kept may be of any age and must not show as the present value.
        if not message.retain:
            self._arrive()
            self._feed(message.payload)

    def _feed(self, payload: Any) -> None:
        if self._session is None:
            return
        if len(payload) > MAX_PAYLOAD:
            self._session.trouble("flood", str(len(payload)))
            return
        self._session.feed_lines(line for line in _bytes(payload).splitlines() if line.strip())

    def _arrive(self) -> None:
        """The bridge is there: it says so, or says something."""
        if self._session is None or self._connected:
            return
        self._connected = True
        self._session.connected()
        if self._hello is not None:
            hello, self._hello = self._hello, None
            self._feed(hello)

    def _leave(self) -> None:
        if self._connected and self._session is not None:
            self._connected = False
            self._session.disconnected()


def _bytes(payload: Any) -> bytes:
    return payload.encode() if isinstance(payload, str) else bytes(payload)
