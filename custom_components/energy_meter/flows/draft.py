"""A meter on its way into a subentry: what is known of it so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from homeassistant.config_entries import ConfigSubentry, ConfigSubentryData
from homeassistant.const import CONF_NAME
from homeassistant.util import slugify
from homeassistant.util.ulid import ulid_now

from ..const import (
    CONF_AREA,
    CONF_BASE_ADDRESS,
    CONF_COUNTER_INTERVAL,
    CONF_ENERGY_DASHBOARD,
    CONF_FAST_INTERVAL,
    CONF_IDENTITY,
    CONF_INSIDE,
    CONF_INVERT,
    CONF_PRODUCTION,
    CONF_PROFILE,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    CONF_SERIAL_NUMBER,
    CONF_SLOW_INTERVAL,
    CONF_UNIT_ID,
    CONF_VARIANT,
    CONF_WORD_ORDER,
    DEFAULT_COUNTER_INTERVAL,
    DEFAULT_FAST_INTERVAL,
    DEFAULT_SLOW_INTERVAL,
    ROLE_BATTERY,
    ROLE_DEVICE,
    ROLE_NONE,
    ROLE_SOLAR,
    SUBENTRY_METER,
)
from ..model import Value
from ..sources.modbus.profile import Order
from .configured import ConfiguredMeter

# The fields of a draft that make a subentry, by the names that they have there.
_FIELDS: Final = (
    CONF_PROFILE,
    CONF_UNIT_ID,
    CONF_IDENTITY,
    CONF_SERIAL_NUMBER,
    CONF_ROLE,
    CONF_INSIDE,
    CONF_PRODUCTION,
    CONF_ENERGY_DASHBOARD,
    CONF_AREA,
    CONF_RATED_CURRENT,
    CONF_FAST_INTERVAL,
    CONF_COUNTER_INTERVAL,
    CONF_SLOW_INTERVAL,
    CONF_INVERT,
    CONF_VARIANT,
    CONF_WORD_ORDER,
    CONF_BASE_ADDRESS,
)
PRODUCING: Final = (ROLE_SOLAR, ROLE_BATTERY)
"""Roles for which it has to be known which counter counts what comes out."""
# Those that a form leaves out when they are emptied.
_CLEARABLE: Final = frozenset({CONF_AREA, CONF_RATED_CURRENT})

type ReadAs = tuple[str | None, str | None, Order | None, int]


def identity_of(manufacturer: str, serial_number: str | None) -> str:
    """What a new meter is known by from now on: maker and serial number, else something unique."""
    if serial_number and (serial := slugify(serial_number)) and serial.strip("0_"):
        return f"{slugify(manufacturer)}_{serial}"
    return ulid_now().lower()


@dataclass(slots=True, kw_only=True)
class MeterDraft:
    """One meter as the user is describing it; the fields are those of the subentry."""

    unit_id: int
    profile: str | None = None
    """The slug of the profile; None while nobody knows what the meter is."""
    identity: str = ""
    name: str = ""
    serial_number: str | None = None
    role: str = ROLE_NONE
    inside: str | None = None
    production: str | None = None
    energy_dashboard: bool = True
    area: str | None = None
    rated_current: float | None = None
    fast_interval: float = DEFAULT_FAST_INTERVAL
    counter_interval: float = DEFAULT_COUNTER_INTERVAL
    slow_interval: float = DEFAULT_SLOW_INTERVAL
    invert: bool = False
    variant: str | None = None
    word_order: Order | None = None
    base_address: int = 0
    """Where the profile's registers begin, if not where the profile says: SunSpec."""

    candidates: tuple[str, ...] = ()
    """Slugs of the profiles that fit, best first."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """What it showed when it was last read, by quantity key."""
    plausible: bool = True
    """Whether those values are such as a meter in use shows."""
    proven: ReadAs | None = None
    """How the meter was read when the user last saw its values and agreed."""
    moved: ConfiguredMeter | None = None
    """The meter that this one was set up as so far, on another line or at another address."""

    @property
    def read_as(self) -> ReadAs:
        """Everything that decides how registers become values."""
        return (self.profile, self.variant, self.word_order, self.base_address)

    def take(self, user_input: Mapping[str, Any]) -> None:
        """Take over what the user filled in.

        Args:
            user_input: the fields of the meter form, its sections flattened; what it may leave
                empty and does is none from now on.
        """
        for key in (CONF_NAME, *_FIELDS):
            if key in user_input:
                setattr(self, key, user_input[key])
            elif key in _CLEARABLE:
                setattr(self, key, None)
        if self.role != ROLE_DEVICE:
            self.inside = None
        if self.role not in PRODUCING:
            self.production = None

    def data(self) -> dict[str, Any]:
        """The subentry's data."""
        data = {key: getattr(self, key) for key in _FIELDS}
        return {
            key: value
            for key, value in data.items()
            if value is not None and (key != CONF_BASE_ADDRESS or value)
        }

    def subentry(self) -> ConfigSubentryData:
        """The subentry to create."""
        return ConfigSubentryData(
            data=self.data(),
            subentry_type=SUBENTRY_METER,
            title=self.name,
            unique_id=self.identity,
        )

    @classmethod
    def from_subentry(cls, subentry: ConfigSubentry) -> Self:
        """The draft that would create this subentry."""
        fields = {key: value for key, value in subentry.data.items() if key in _FIELDS}
        draft = cls(name=subentry.title, **fields)
        draft.proven = draft.read_as
        return draft
