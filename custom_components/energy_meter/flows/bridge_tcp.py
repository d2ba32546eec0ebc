"""A bridge on the network: found by itself or by its address; it lets in who knows its pairing key."""

from collections.abc import Mapping
import errno
import socket
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import CONF_HOST, CONF_PORT
from homeassistant.core import callback
from homeassistant.data_entry_flow import AbortFlow
from homeassistant.helpers.service_info.zeroconf import ZeroconfServiceInfo

from ..bridge_mqtt import is_bridge_id
from ..const import CONF_KEY, CONF_WAY, DOMAIN, WAY_TCP
from ..sources.base import SourceError
from ..sources.bridge import DEFAULT_PORT, TcpLink, tcp_probe
from ..sources.bridge.security import normalise_key
from ..sources.modbus.link import LinkError, normalise_host
from .base import Result
from .bridge import VALUES_PATIENCE, BridgeSteps, Data
from .bridge_ear import Heard, overhear
from .bridge_forms import key_form, tcp_form
from .trouble import Trouble

_KEYS: Final = ("bridge_key_refused", "bridge_key_needed")
_CONNECTING: Final = ("bridge_cannot_connect", "bridge_cannot_open")
_BY_ERRNO: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "bridge_connection_refused",
    errno.EHOSTUNREACH: "bridge_unreachable",
    errno.ENETUNREACH: "bridge_unreachable",
    errno.EHOSTDOWN: "bridge_unreachable",
    errno.ETIMEDOUT: "bridge_unreachable",
}


class BridgeTcpSteps(BridgeSteps):
    """Ask for address and key, connect; be told of bridges by zeroconf."""

    _announced: Data
    """Host and port that were announced."""
    _name = ""

    async def async_step_bridge_tcp(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the address and the key."""
        self.form_step = "bridge_tcp"
        trouble = self.async_take_trouble()
        if user_input is not None:
            data = {CONF_WAY: WAY_TCP, CONF_PORT: user_input[CONF_PORT]}
            try:
                data[CONF_HOST] = normalise_host(user_input[CONF_HOST])
            except LinkError as err:
                trouble = Trouble(err.key, err.placeholders, field=err.field)
            else:
                trouble = take_key(data, user_input)
            if trouble is None:
                return await self.async_listen(
                    data, user_input, self._async_hear_tcp, async_explain_tcp
                )
        return self.show(
            "bridge_tcp",
            tcp_form(anyway=self.offer_bridge_anyway),
            trouble,
            filled=user_input or self.present(WAY_TCP),
        )

    async def _async_hear_tcp(self, data: Data) -> Heard:
        """Who is there and what its meters show.

        Raises:
            SourceError: nobody, or it does not let us in.
        """
        address = (data[CONF_HOST], data[CONF_PORT], data.get(CONF_KEY))
        hello = await tcp_probe(*address)
        heard = await overhear(TcpLink(*address), hello.interval + VALUES_PATIENCE)
        heard.hello = heard.hello or hello
        return heard

    # Announced by zeroconf

    async def async_step_zeroconf(self, discovery_info: ZeroconfServiceInfo) -> Result:
        """A bridge says that it is there: a new one, or one that has another address now."""
        bridge = discovery_info.properties.get("id")
        if not isinstance(bridge, str) or not is_bridge_id(bridge):
            return self.async_abort(reason="bridge_invalid_discovery")
        self._announced = {
            CONF_HOST: discovery_info.host,
            CONF_PORT: discovery_info.port or DEFAULT_PORT,
        }
        await self.async_set_unique_id(bridge)
        self._follow(bridge)
        self.bridge_data = {CONF_WAY: WAY_TCP, **self._announced}
        self.abort_if_place_used()
        await self.async_prepare_bridge()
        name = discovery_info.properties.get("name")
        self._name = name[:64] if isinstance(name, str) and name.strip() else bridge
        self.context["title_placeholders"] = {"name": self._name}
        return await self.async_step_bridge_pair()

    @callback
    def _follow(self, bridge: str) -> None:
        """End where the bridge is set up; its entry learns the new address, or that it is there again."""
        entry = self.hass.config_entries.async_entry_for_domain_unique_id(DOMAIN, bridge)
        if entry is None:
            return
        if entry.data.get(CONF_WAY) == WAY_TCP:
            changed = self.hass.config_entries.async_update_entry(
                entry, data={**entry.data, **self._announced}
            )
            # A running entry listens for changes by itself.
            waits = entry.state is ConfigEntryState.SETUP_RETRY
            if waits or (changed and not entry.update_listeners):
                self.hass.config_entries.async_schedule_reload(entry.entry_id)
        raise AbortFlow("bridge_already_configured", {"name": entry.title})

    async def async_step_bridge_pair(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the key of a bridge that was announced."""
        self.form_step = "bridge_pair"
        trouble = self.async_take_trouble()
        if user_input is not None:
            data = {CONF_WAY: WAY_TCP, **self._announced}
            trouble = take_key(data, user_input)
            if trouble is None:
                return await self.async_listen(
                    data, user_input, self._async_hear_tcp, async_explain_tcp
                )
        return self.show(
            "bridge_pair",
            key_form(),
            trouble,
            filled=user_input or self.bridge_filled,
            placeholders={"name": self._name, "host": self._announced[CONF_HOST]},
        )


def take_key(data: Data, user_input: Mapping[str, Any]) -> Trouble | None:
    """Take over the key that was filled in, if one was; say so if it is none."""
    data.pop(CONF_KEY, None)
    text = user_input.get(CONF_KEY, "")
    if text.strip():
        try:
            data[CONF_KEY] = normalise_key(text)
        except ValueError:
            return Trouble("bridge_no_key", field=CONF_KEY)
    return None


async def async_explain_tcp(err: Exception, data: Data) -> Trouble:
    """What an exception of connecting to a bridge means."""
    return await async_explain_network(err, f"{data[CONF_HOST]}:{data[CONF_PORT]}")


async def async_explain_network(err: Exception, link: str) -> Trouble:
    """What an exception of a connection means.

    Args:
        err: of the probe, with the reason behind it as its cause.
        link: where it should have led to, for people.
    """
    key = err.key if isinstance(err, SourceError) else "bridge_cannot_connect"
    placeholders = {"port": link, "link": link, "detail": str(err)}
    if isinstance(err, SourceError):
        placeholders |= err.placeholders
    cause = err.__cause__
    if key in _KEYS:
        return Trouble(key, placeholders, field=CONF_KEY)
    if isinstance(cause, socket.gaierror):
        return Trouble("bridge_unknown_host", placeholders, field=CONF_HOST)
    if isinstance(cause, TimeoutError) and key in _CONNECTING:
        return Trouble("bridge_unreachable", placeholders)
    if isinstance(cause, OSError) and (known := _BY_ERRNO.get(cause.errno or 0)):
        return Trouble(known, placeholders)
    return Trouble("bridge_cannot_connect" if key in _CONNECTING else key, placeholders)
