"""The line being set up, lent out for searches and single looks."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Final

from homeassistant.components.modbus import async_get_temporary_unit
from homeassistant.components.modbus.connection import async_get_connection_info
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import CONF_DEVICE, CONF_HOST
from homeassistant.core import HomeAssistant
from modbus_connection import ModbusUnit

from ..const import CONF_TRANSPORT, TRANSPORT_SIMULATED
from ..sources.modbus.link import LinkSettings, ModbusParams, RtuOverTcpLink, link_from_data
from ..sources.modbus.probe import ProbeChannel, Question, TemporaryChannel, look
from ..sources.modbus.timing import LINK_TIMEOUT_CEILING
from ..sources.simulated.modbus_line import HOST, SimulatedLine
from .trouble import LINE_ERRORS, Trouble, async_trouble

_SOME_UNIT: Final = 1
_SOME_TIME: Final = 0.2
"""Seconds; the time for opening is not counted."""


class FlowLine:
    """One line during one flow: what it is, and how to ask on it.

    A line that one of our entries is running is asked between that entry's polls; any other is
    borrowed from Home Assistant's shared connections for as long as a channel is open. The simulated
    line runs for as long as the flow does.
    """

    def __init__(
        self, hass: HomeAssistant, link: LinkSettings | None, entry: ConfigEntry | None = None
    ) -> None:
        """Take the line's link, None for the simulated one, and the entry that may be running it."""
        self._hass = hass
        self._entry = entry
        self._link = link
        self._simulated: SimulatedLine | None = None
        self._simulated_link: LinkSettings | None = None

    @classmethod
    def of_entry(cls, hass: HomeAssistant, entry: ConfigEntry) -> FlowLine:
        """The line of an entry, running or not."""
        return cls(hass, link_of(entry.data), entry)

    @property
    def settings(self) -> LinkSettings | None:
        """The link as it is kept; None for the simulated line."""
        return self._link

    @property
    def place(self) -> str | None:
        """The port or host, whatever is spoken there; None for the simulated line."""
        data = self.data
        place: str | None = data.get(CONF_DEVICE) or data.get(CONF_HOST)
        return place

    @property
    def fixed(self) -> bool:
        """Whether the settings must stay, because an entry has meters on the line."""
        return self._entry is not None

    @property
    def data(self) -> dict[str, Any]:
        """The config entry data that stands for the line."""
        if self._link is None:
            return {CONF_TRANSPORT: TRANSPORT_SIMULATED}
        return self._link.to_data()

    async def link(self) -> LinkSettings:
        """The link to ask on; starts the simulated line if that is the one.

        Raises:
            OSError: no socket can be had for the simulated line.
        """
        if self._link is not None:
            return self._link
        if self._simulated_link is None:
            self._simulated = SimulatedLine()
            self._simulated_link = RtuOverTcpLink(host=HOST, port=await self._simulated.start())
        return self._simulated_link

    def take_settings(self, link: LinkSettings) -> None:
        """Use the line with other settings from now on: those at which meters answered."""
        if self._link is not None:
            self._link = link

    def channel(self, link: LinkSettings) -> AbstractAsyncContextManager[ProbeChannel]:
        """The line as `link` describes it, until the context ends.

        Raises, on entering or with the first request:
            HomeAssistantError: another user has the line with other settings.
            ModbusConnectionError: the link cannot be opened.
        """
        if self._entry is not None and self._entry.state is ConfigEntryState.LOADED:
            return nullcontext(self._entry.runtime_data.line)
        return TemporaryChannel(partial(_borrow, self._hass, link.params))

    async def async_open(self) -> Trouble | None:
        """See whether the link opens at all, or say why not; whether anybody answers is no matter."""
        try:
            async with self.channel(await self.link()) as channel:
                await look(channel, _SOME_UNIT, Question.HOLDING, _SOME_TIME)
        except LINE_ERRORS as err:
            return await async_trouble(self._hass, err, self._link)
        return None

    async def close(self) -> None:
        """End what the flow alone needed."""
        if self._simulated is not None:
            simulated, self._simulated, self._simulated_link = self._simulated, None, None
            await simulated.stop()


def link_of(data: Mapping[str, Any]) -> LinkSettings | None:
    """The link that config entry data describes; None for the simulated line.

    Raises:
        LinkError: the data makes no link.
    """
    return None if data[CONF_TRANSPORT] == TRANSPORT_SIMULATED else link_from_data(data)


@asynccontextmanager
async def _borrow(
    hass: HomeAssistant, params: ModbusParams, unit_id: int
) -> AsyncIterator[ModbusUnit]:
    """Borrow a unit, with a time-out that fits a person waiting at a form.

    A link that somebody has open already keeps its own: changing it would reach beyond this flow.
    """
    fresh = all(info.endpoint != params.endpoint for info in async_get_connection_info(hass))
    async with async_get_temporary_unit(hass, params, unit_id) as unit:
        if fresh:
            unit.require_timeout(LINK_TIMEOUT_CEILING)
        yield unit
