"""From an entry's data to a link that is worth starting on, or to the reason why not."""

from errno import ENOENT
from pathlib import Path
import re
from typing import Final

from homeassistant.components import usb
from homeassistant.components.modbus import async_get_unit
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import CONF_DEVICE
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import ConfigEntryError, ConfigEntryNotReady, HomeAssistantError
from modbus_connection import ModbusTlsParams

from .const import (
    CONF_TRANSPORT,
    CONF_UNIT_ID,
    CONF_WAY,
    DOMAIN,
    SUBENTRY_METER,
    TRANSPORT_SIMULATED,
    WAY_SERIAL,
)
from .issues import Issue, async_clear, async_raise
from .link_errors import LinkProblem, link_problem
from .sources.modbus.link import (
    LinkError,
    LinkSettings,
    RtuOverTcpLink,
    SerialLink,
    SerialSettings,
    link_from_data,
)
from .sources.simulated.modbus_line import HOST, SimulatedLine

_UNSURE: Final = re.compile(r"/dev/tty(USB|ACM)\d+")
"""Paths that the next adapter to be plugged in may get."""


async def async_link(hass: HomeAssistant, entry: ConfigEntry) -> LinkSettings:
    """Return the link that an entry stands for, after what can be checked without waiting for a meter.

    Raises:
        ConfigEntryError: the data makes no link, its certificates cannot be used, or somebody else has it open
            with other settings.
        ConfigEntryNotReady: the serial port is not there; it is waited for.
    """
    if entry.data[CONF_TRANSPORT] == TRANSPORT_SIMULATED:
        return await _async_simulated(entry)
    try:
        link = link_from_data(entry.data)
    except LinkError as err:
        raise _error(ConfigEntryError, link_problem(hass, err)) from err
    if not await async_port_present(hass, entry, link):
        _await_port(hass, entry)
        raise _error(ConfigEntryNotReady, link_problem(hass, FileNotFoundError(ENOENT, ""), link))
    await _async_no_clash(hass, entry, link)
    if isinstance(link.params, ModbusTlsParams):
        try:
            await link.params.create_ssl_context()
        except OSError as err:
            raise _error(ConfigEntryError, link_problem(hass, err, link)) from err
    return link


async def _async_simulated(entry: ConfigEntry) -> LinkSettings:
    """Start the simulated line; it ends with the entry."""
    line = SimulatedLine()
    try:
        port = await line.start()
    except OSError as err:
        raise ConfigEntryNotReady(
            translation_domain=DOMAIN, translation_key="simulation_not_started"
        ) from err
    entry.async_on_unload(line.stop)
    return RtuOverTcpLink(host=HOST, port=port)


def _await_port(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Try again as soon as an adapter is plugged in, and not only when the next attempt is due."""

    @callback
    def plugged(added: set[usb.USBDevice], _removed: set[usb.USBDevice]) -> None:
        if added:
            hass.config_entries.async_schedule_reload(entry.entry_id)

    entry.async_on_unload(usb.async_register_port_event_callback(hass, plugged))


async def async_follow_port(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Tell the user when a bridge's adapter is at another path, now and whenever one is plugged in.

    The bridge's link opens its port again by itself as soon as it is there.
    """
    if entry.data[CONF_WAY] != WAY_SERIAL:
        return
    link = SerialLink(device=entry.data[CONF_DEVICE], settings=SerialSettings())

    @callback
    def plugged(added: set[usb.USBDevice], _removed: set[usb.USBDevice]) -> None:
        if added:
            entry.async_create_background_task(
                hass, async_port_present(hass, entry, link), "energy meter adapter"
            )

    entry.async_on_unload(usb.async_register_port_event_callback(hass, plugged))
    await async_port_present(hass, entry, link)


async def async_port_present(hass: HomeAssistant, entry: ConfigEntry, link: LinkSettings) -> bool:
    """Return whether a link's serial port is there, as far as it is one of this machine.

    If it is not, an issue is raised where its adapter can only be one that is now at another path.
    """
    if not isinstance(link, SerialLink) or not link.device.startswith("/"):
        return True
    present = await hass.async_add_executor_job(Path(link.device).exists)
    found = None if present else await _async_moved_to(hass, link.device)
    if found is None:
        async_clear(hass, Issue.ADAPTER_MOVED, entry.entry_id)
        return present
    async_raise(
        hass,
        Issue.ADAPTER_MOVED,
        entry.entry_id,
        data={"entry_id": entry.entry_id, "device": found},
        line=entry.title,
        before=link.device,
        now=found,
    )
    return False


async def _async_moved_to(hass: HomeAssistant, device: str) -> str | None:
    """Where the adapter of a missing path is now, if there is only one possibility."""
    ports = await usb.async_scan_serial_ports(hass)
    find = getattr(usb, "async_find_moved_serial_port", None)  # Home Assistant 2026.11 and later.
    if find is not None and (found := find(hass, device)) is not None:
        return str(found)
    taken = {
        entry.data.get(CONF_DEVICE)
        for entry in hass.config_entries.async_entries()
        if isinstance(entry.data.get(CONF_DEVICE), str)
    }
    consumers = await usb.async_get_serial_port_consumers(hass, ports)
    free = [port for port in ports if port.device not in taken and not consumers.get(port.device)]
    if device.startswith("/dev/serial/by-id/"):
        # The name tells maker, product and serial number, up to the interface.
        name = _adapter_name(device)
        same = [port.device for port in free if _adapter_name(port.device) == name]
        return same[0] if len(same) == 1 else None
    return free[0].device if _UNSURE.fullmatch(device) and len(free) == 1 else None


def _adapter_name(device: str) -> str:
    return re.sub(r"-if\d+(-port\d+)?$", "", device.rsplit("/", 1)[-1])


async def _async_no_clash(hass: HomeAssistant, entry: ConfigEntry, link: LinkSettings) -> None:
    meters = entry.get_subentries_of_type(SUBENTRY_METER)
    try:
        # Held until the entry unloads, as the line will; nothing is opened by it.
        for unit_id in {meter.data[CONF_UNIT_ID] for meter in meters} or {1}:
            async_get_unit(hass, entry, link.params, unit_id)
    except HomeAssistantError as err:
        problem = link_problem(hass, err, link)
        async_raise(
            hass,
            Issue.LINK_CLASH,
            entry.entry_id,
            data={"entry_id": entry.entry_id},
            line=entry.title,
            **{"user": "", "settings": "", "wanted": "", **problem.placeholders},
        )
        raise _error(ConfigEntryError, problem) from err
    async_clear(hass, Issue.LINK_CLASH, entry.entry_id)


def _error[E: HomeAssistantError](kind: type[E], problem: LinkProblem) -> E:
    return kind(
        translation_domain=DOMAIN,
        translation_key=problem.key,
        translation_placeholders=dict(problem.placeholders),
    )
