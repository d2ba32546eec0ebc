"""Which line: serial port, network gateway or the simulated one."""

from collections.abc import Mapping
from typing import Any

from homeassistant.components.usb import get_serial_by_id
from homeassistant.const import CONF_DEVICE, CONF_PORT, CONF_PROTOCOL
from homeassistant.data_entry_flow import AbortFlow
import probatio

from ..const import (
    CONF_BAUDRATE,
    CONF_BYTESIZE,
    CONF_PARITY,
    CONF_STOPBITS,
    CONF_TRANSPORT,
    DOMAIN,
    TRANSPORT_SIMULATED,
)
from ..sources.modbus.link import (
    TLS_FILES,
    LinkError,
    LinkSettings,
    Transport,
    link_from_data,
    normalise_device,
)
from .base import Result, SetupFlow
from .configured import is_bridge
from .forms import FIELD_ANYWAY, flat, network_form, sectioned, serial_form
from .line import FlowLine, link_of
from .trouble import Trouble


class LinkSteps(SetupFlow):
    """The steps that ask for the line; what happens with it is up to `async_line_chosen`."""

    with_line_settings = False
    """Whether the serial form asks for line settings too."""
    offer_anyway = False
    """Whether the forms offer to go on although the line was tried in vain."""

    def line_title(self, line: FlowLine) -> str:
        """What the entry of a line is called unless the user says otherwise."""
        settings = line.settings
        return settings.describe() if settings else self.phrases("simulated_line")

    async def async_step_serial(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the serial port."""
        trouble = None
        if user_input is not None:
            fields = flat(user_input)
            try:
                device = await self.hass.async_add_executor_job(
                    normalise_device, fields[CONF_DEVICE], get_serial_by_id
                )
                link = link_from_data(
                    {CONF_TRANSPORT: Transport.SERIAL, **fields, CONF_DEVICE: device}
                )
            except LinkError as err:
                trouble = _trouble(err, user_input)
            else:
                result = await self._async_chosen(link, fields)
                if not isinstance(result, Trouble):
                    return result
                trouble = result
        schema = serial_form(with_settings=self.with_line_settings, anyway=self.offer_anyway)
        return self.show("serial", schema, trouble, filled=user_input or self._present(schema))

    async def async_step_network(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for the gateway."""
        trouble = None
        if user_input is not None:
            fields = flat(user_input)
            transport = Transport(fields[CONF_PROTOCOL])
            if transport is Transport.RTU_OVER_TCP and CONF_PORT not in fields:
                trouble = Trouble("port_needed", field=CONF_PORT)
            else:
                for field in TLS_FILES:
                    if (path := str(fields.get(field, "")).strip()) != "":
                        # Relative to the configuration folder, as every other path in Home Assistant.
                        fields[field] = self.hass.config.path(path)
                try:
                    link = link_from_data({**fields, CONF_TRANSPORT: transport})
                except LinkError as err:
                    trouble = _trouble(err, user_input)
                else:
                    result = await self._async_chosen(link, fields)
                    if not isinstance(result, Trouble):
                        return result
                    trouble = result
        schema = network_form(anyway=self.offer_anyway)
        return self.show("network", schema, trouble, filled=user_input or self._present(schema))

    async def async_step_simulated(self, user_input: dict[str, Any] | None = None) -> Result:
        """Explain the simulated line."""
        trouble = None
        if user_input is not None:
            result = await self._async_chosen(None, {})
            if not isinstance(result, Trouble):
                return result
            trouble = result
        return self.show("simulated", probatio.Schema({}), trouble)

    def _present(self, schema: probatio.Schema) -> dict[str, Any]:
        """What the form is filled with at first: the entry's line, if there is an entry."""
        return sectioned(as_input(self.entry.data), schema) if self.entry else {}

    async def _async_chosen(
        self, link: LinkSettings | None, fields: Mapping[str, Any]
    ) -> Result | Trouble:
        self._abort_if_used(link)
        if hasattr(self, "line"):
            await self.line.close()
        self.line = FlowLine(self.hass, link)
        result = await self.async_line_chosen(anyway=fields.get(FIELD_ANYWAY, False))
        self.offer_anyway = isinstance(result, Trouble) and self.with_line_settings
        return result

    def _abort_if_used(self, link: LinkSettings | None) -> None:
        """End where another entry has this line; meters are added there."""
        for entry in self.hass.config_entries.async_entries(DOMAIN, include_ignore=False):
            if self.entry is not None and entry.entry_id == self.entry.entry_id:
                continue
            if is_bridge(entry):
                continue
            if _same_line(link, link_of(entry.data)):
                raise AbortFlow("already_configured", {"name": entry.title})


def _same_line(one: LinkSettings | None, other: LinkSettings | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.endpoint == other.endpoint


def _trouble(err: LinkError, user_input: Mapping[str, Any]) -> Trouble:
    # Fields inside a section have no place of their own for an error.
    field = err.field if err.field in user_input else "base"
    return Trouble(err.key, err.placeholders, field=field)


def as_input(data: Mapping[str, Any]) -> dict[str, Any]:
    """Entry data as the forms' pickers spell it."""
    spelled = dict(data)
    transport = spelled.pop(CONF_TRANSPORT)
    if transport not in (Transport.SERIAL, TRANSPORT_SIMULATED):
        spelled[CONF_PROTOCOL] = transport
    for key in (CONF_BAUDRATE, CONF_BYTESIZE, CONF_STOPBITS):
        if key in spelled:
            spelled[key] = str(spelled[key])
    if CONF_PARITY in spelled:
        spelled[CONF_PARITY] = spelled[CONF_PARITY].lower()
    return spelled
