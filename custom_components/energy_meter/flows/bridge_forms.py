"""The forms of bridges: one per way in, and the one for their meters."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from homeassistant.const import CONF_DEVICE, CONF_HOST, CONF_NAME, CONF_PORT, UnitOfElectricCurrent
from homeassistant.helpers.selector import (
    AreaSelector,
    BooleanSelector,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    SerialPortSelector,
    TextSelector,
)
import probatio

from ..const import (
    CONF_AREA,
    CONF_ASSUMED_POWER_FACTOR,
    CONF_BAUDRATE,
    CONF_BRIDGE,
    CONF_BUS,
    CONF_INVERT,
    CONF_KEY,
    CONF_LOCAL_ONLY,
    CONF_MULTIPLEXERS,
    CONF_PHASE,
    CONF_PREFIX,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    PHASES,
    ROLES,
)
from ..sources.bridge import DEFAULT_PORT
from .forms import FIELD_ANYWAY, FIELD_METERS, choice, number, whole_number

BAUDRATES: Final = (9600, 115200, 57600, 38400, 19200, 4800, 2400, 1200, 74880, 230400)
"""Speeds that boards use, the usual ones first: they are tried in this order."""
DEFAULT_BAUDRATE: Final = 9600
DEFAULT_PREFIX: Final = "energy_meter"

FIELD_SIGNED: Final = "signed"


def serial_form(*, anyway: bool) -> probatio.Schema:
    """A serial port and its speed."""
    return _form(
        {
            probatio.Required(CONF_DEVICE): SerialPortSelector(),
            probatio.Required(CONF_BAUDRATE, default=str(DEFAULT_BAUDRATE)): choice(
                [str(baudrate) for baudrate in BAUDRATES], custom=True
            ),
        },
        anyway=anyway,
    )


def tcp_form(*, anyway: bool) -> probatio.Schema:
    """Where a bridge listens, and its pairing key."""
    return _form(
        {
            probatio.Required(CONF_HOST): TextSelector(),
            probatio.Required(CONF_PORT, default=DEFAULT_PORT): whole_number(1, 65535),
            probatio.Optional(CONF_KEY): TextSelector(),
        },
        anyway=anyway,
    )


def key_form() -> probatio.Schema:
    """A pairing key alone, where the rest is known."""
    return probatio.Schema({probatio.Required(CONF_KEY): TextSelector()})


def http_form(*, signed: bool, local_only: bool) -> probatio.Schema:
    """What a webhook demands of who posts to it."""
    return probatio.Schema(
        {
            probatio.Required(FIELD_SIGNED, default=signed): BooleanSelector(),
            probatio.Required(CONF_LOCAL_ONLY, default=local_only): BooleanSelector(),
        }
    )


def address_form(*, anyway: bool) -> probatio.Schema:
    """Nothing to fill in: the address is shown."""
    return _form({}, anyway=anyway)


def mqtt_form(*, anyway: bool) -> probatio.Schema:
    """The topics of a bridge."""
    return _form(
        {
            probatio.Required(CONF_PREFIX, default=DEFAULT_PREFIX): TextSelector(),
            probatio.Required(CONF_BRIDGE): TextSelector(),
        },
        anyway=anyway,
    )


def i2c_form(
    buses: Mapping[str, str], multiplexers: Iterable[str], *, anyway: bool
) -> probatio.Schema:
    """Which bus, and which multiplexers are on it."""
    return _form(
        {
            probatio.Required(CONF_BUS): SelectSelector(
                SelectSelectorConfig(
                    options=[
                        SelectOptionDict(value=bus, label=label) for bus, label in buses.items()
                    ],
                    mode=SelectSelectorMode.LIST,
                )
            ),
            probatio.Optional(CONF_MULTIPLEXERS): SelectSelector(
                SelectSelectorConfig(
                    options=list(multiplexers), multiple=True, mode=SelectSelectorMode.DROPDOWN
                )
            ),
        },
        anyway=anyway,
    )


def heard_form() -> probatio.Schema:
    """How the bridge is called."""
    return probatio.Schema({probatio.Required(CONF_NAME): TextSelector()})


def bridge_meter_form() -> probatio.Schema:
    """Everything about one meter of a bridge that the bridge does not say itself."""
    return probatio.Schema(
        {
            probatio.Required(CONF_NAME): TextSelector(),
            probatio.Required(CONF_ROLE): choice(list(ROLES), CONF_ROLE),
            probatio.Optional(CONF_AREA): AreaSelector(),
            probatio.Optional(CONF_PHASE): choice(list(PHASES), CONF_PHASE),
            probatio.Optional(CONF_RATED_CURRENT): number(
                0.1, 10_000, UnitOfElectricCurrent.AMPERE, step="any"
            ),
            probatio.Required(CONF_INVERT, default=False): BooleanSelector(),
            probatio.Optional(CONF_ASSUMED_POWER_FACTOR): number(0, 1, step=0.01),
        }
    )


def removed_form(meters: Iterable[SelectOptionDict]) -> probatio.Schema:
    """Which of the removed meters are to come back."""
    return probatio.Schema(
        {
            probatio.Required(FIELD_METERS): SelectSelector(
                SelectSelectorConfig(
                    options=list(meters), multiple=True, mode=SelectSelectorMode.LIST
                )
            )
        }
    )


def _form(fields: dict[Any, Any], *, anyway: bool) -> probatio.Schema:
    """Fields, and to go on although the try failed; offered only once it has."""
    if anyway:
        fields[probatio.Optional(FIELD_ANYWAY, default=False)] = BooleanSelector()
    return probatio.Schema(fields)
