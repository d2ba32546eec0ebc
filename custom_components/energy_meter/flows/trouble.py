"""What is wrong with what the user asked for, as a form shows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from modbus_connection import ModbusError
from serialx import SerialException

from ..link_errors import async_link_problem
from ..sources.base import SourceError
from ..sources.modbus.link import LinkSettings
from ..sources.modbus.reader import MeterLost

LINE_ERRORS: Final = (
    HomeAssistantError,
    ModbusError,
    MeterLost,
    OSError,
    SerialException,
    SourceError,
)
"""What asking on a line may raise; time-outs are among them."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One error: its key in `config.error`, what fills it in, and the form field it belongs to."""

    key: str
    placeholders: Mapping[str, str] = field(default_factory=dict)
    field: str = "base"


async def async_trouble(
    hass: HomeAssistant, err: BaseException, link: LinkSettings | None
) -> Trouble:
    """The trouble that an exception of the line means."""
    problem = await async_link_problem(hass, err, link)
    return Trouble(problem.key, problem.placeholders)
