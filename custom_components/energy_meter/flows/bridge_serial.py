"""A board on a USB cable: port and speed; the speed is found out where another one was meant."""

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from homeassistant.components.usb import get_serial_by_id
from homeassistant.const import CONF_DEVICE

from ..const import CONF_BAUDRATE, CONF_WAY, WAY_SERIAL
from ..link_errors import async_link_problem
from ..sources.base import SourceError
from ..sources.bridge import Hello, SerialLink, serial_probe
from ..sources.modbus.link import (
    LinkError,
    SerialLink as ModbusSerialLink,
    SerialSettings,
    normalise_device,
)
from .base import Result
from .bridge import VALUES_PATIENCE, BridgeSteps, Data
from .bridge_ear import Heard, overhear
from .bridge_forms import BAUDRATES, serial_form
from .bridge_tcp import async_explain_network
from .trouble import Trouble

_LISTEN: Final = 8.0
"""Seconds; an Arduino starts anew when its port is opened, which takes two, and may be slow to speak."""
_LISTEN_ELSEWHERE: Final = 4.0
"""Seconds at each other speed, where something was heard that could not be understood."""


_OPENING: Final = ("bridge_cannot_open", "bridge_in_use")
"""What the probe says of a port that it could not open; why is told by the exception behind it."""
_PROXY: Final = "esphome"


class BridgeSerialSteps(BridgeSteps):
    """Ask for the port, listen."""

    async def async_step_bridge_serial(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for port and speed."""
        self.form_step = "bridge_serial"
        trouble = self.async_take_trouble()
        if user_input is not None:
            try:
                device = await self.hass.async_add_executor_job(
                    normalise_device, user_input[CONF_DEVICE], get_serial_by_id
                )
                link = ModbusSerialLink(
                    device=device, settings=SerialSettings(baudrate=_whole(user_input))
                )
            except LinkError as err:
                trouble = Trouble(err.key, err.placeholders, field=err.field)
            else:
                data = {
                    CONF_WAY: WAY_SERIAL,
                    CONF_DEVICE: device,
                    CONF_BAUDRATE: link.settings.baudrate,
                }
                return await self.async_listen(
                    data, user_input, self._async_hear_serial, self._async_explain_serial
                )
        filled = user_input or self.present(WAY_SERIAL)
        if CONF_BAUDRATE in filled:
            filled = {**filled, CONF_BAUDRATE: str(filled[CONF_BAUDRATE])}
        return self.show(
            "bridge_serial", serial_form(anyway=self.offer_bridge_anyway), trouble, filled=filled
        )

    async def _async_hear_serial(self, data: Data) -> Heard:
        """Who is there and what its meters show; the data's speed becomes the one that fits.

        Raises:
            SourceError: nobody is understood at any of the usual speeds.
        """
        wanted = data[CONF_BAUDRATE]
        hello, data[CONF_BAUDRATE] = await _async_find(data[CONF_DEVICE], wanted)
        heard = await overhear(
            SerialLink(data[CONF_DEVICE], data[CONF_BAUDRATE]), hello.interval + VALUES_PATIENCE
        )
        heard.hello = heard.hello or hello
        if data[CONF_BAUDRATE] != wanted:
            heard.baudrate = data[CONF_BAUDRATE]
        return heard

    async def _async_explain_serial(self, err: Exception, data: Data) -> Trouble:
        device = data[CONF_DEVICE]
        where = {"port": device, "link": device, "baudrate": str(data[CONF_BAUDRATE])}
        if "://" in device and not device.startswith(_PROXY):
            return replace(await async_explain_network(err, device), field="base")
        cause = err.__cause__ if isinstance(err, SourceError) else err
        if isinstance(err, SourceError) and err.key not in _OPENING:
            return Trouble(err.key, {**where, **err.placeholders})
        if isinstance(cause, TimeoutError):
            return Trouble("port_not_opening", where)
        if cause is None or isinstance(cause, ValueError):
            return Trouble("bridge_cannot_open", {**where, "detail": str(cause)})
        link = ModbusSerialLink(device=device, settings=SerialSettings())
        problem = await async_link_problem(self.hass, cause, link)
        return Trouble(problem.key, problem.placeholders)


def _whole(user_input: dict[str, Any]) -> int:
    text = str(user_input[CONF_BAUDRATE]).strip()
    try:
        return int(text)
    except ValueError:
        raise LinkError(CONF_BAUDRATE, "invalid_baudrate", value=text) from None


async def _async_find(device: str, wanted: int) -> tuple[Hello, int]:
    """(the hello, the speed at which it was understood), trying the usual speeds after the wanted one.

    Raises:
        SourceError: as `serial_probe`; `bridge_no_speed_fits` if something is heard but never understood.
    """
    try:
        return await serial_probe(device, wanted, _LISTEN), wanted
    except SourceError as err:
        # A socket has no speed, whatever is asked for.
        if err.key != "bridge_not_understood" or device.startswith("socket://"):
            raise
    for baudrate in BAUDRATES:
        if baudrate != wanted:
            with suppress(SourceError):
                return await serial_probe(device, baudrate, _LISTEN_ELSEWHERE), baudrate
    raise SourceError("bridge_no_speed_fits")
