"""Meters of a bridge: what the bridge does not say of them, and those that were removed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, override

from homeassistant.config_entries import (
    ConfigEntry,
    ConfigEntryState,
    ConfigSubentry,
    ConfigSubentryFlow,
)
from homeassistant.const import CONF_NAME
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.selector import SelectOptionDict

from ..const import (
    CONF_AREA,
    CONF_ASSUMED_POWER_FACTOR,
    CONF_ENERGY_DASHBOARD,
    CONF_IDENTITY,
    CONF_INSIDE,
    CONF_INVERT,
    CONF_PHASE,
    CONF_PRODUCTION,
    CONF_RATED_CURRENT,
    CONF_ROLE,
    DOMAIN,
    OPTION_REMOVED,
    ROLE_DEVICE,
    ROLE_NONE,
)
from ..coordinator import MeterCoordinator
from ..energy_dashboard import DashboardMeter
from ..model import Value
from .base import Result
from .bridge_forms import bridge_meter_form, removed_form
from .draft import PRODUCING
from .forms import FIELD_METERS
from .phrases import Phrases
from .role import COUNTERS, RoleSteps
from .summary import DashboardSteps
from .values import values_text


@dataclass(slots=True, kw_only=True)
class BridgeMeterDraft:
    """One meter of a bridge as the user is describing it."""

    data: dict[str, Any]
    """Of the subentry."""
    name: str
    values: Mapping[str, Value] = field(default_factory=dict)
    """What it shows, by quantity key."""

    @classmethod
    def of(cls, subentry: ConfigSubentry, values: Mapping[str, Value]) -> Self:
        """The meter of a subentry."""
        return cls(data=dict(subentry.data), name=subentry.title, values=values)

    @property
    def identity(self) -> str:
        """What it is known by."""
        return str(self.data[CONF_IDENTITY])

    @property
    def role(self) -> str:
        """What it measures."""
        return str(self.data.get(CONF_ROLE, ROLE_NONE))

    @property
    def inside(self) -> str | None:
        """The identity of the meter that measures it too."""
        return self.data.get(CONF_INSIDE)

    @inside.setter
    def inside(self, identity: str | None) -> None:
        self._set(CONF_INSIDE, identity)

    @property
    def production(self) -> str | None:
        """Which counter counts what comes out."""
        return self.data.get(CONF_PRODUCTION)

    @production.setter
    def production(self, counter: str | None) -> None:
        self._set(CONF_PRODUCTION, counter)

    def take(self, user_input: Mapping[str, Any]) -> None:
        """Take over what the user filled in; what was emptied is none."""
        self.name = user_input[CONF_NAME].strip() or self.name
        for key in (
            CONF_ROLE,
            CONF_AREA,
            CONF_PHASE,
            CONF_RATED_CURRENT,
            CONF_INVERT,
            CONF_ASSUMED_POWER_FACTOR,
        ):
            self._set(key, user_input.get(key))
        if self.role != ROLE_DEVICE:
            self.inside = None
        if self.role not in PRODUCING:
            self.production = None

    def _set(self, key: str, value: Any) -> None:
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[key] = value


class BridgeMeterSubentryFlow(RoleSteps, DashboardSteps, ConfigSubentryFlow):
    """Change a meter of a bridge, or have one back that was removed."""

    _draft: BridgeMeterDraft

    @property
    @override
    def entry(self) -> ConfigEntry:
        """The bridge's entry."""
        return self._get_entry()

    @property
    @override
    def draft(self) -> BridgeMeterDraft:
        """The meter being described."""
        return self._draft

    async def async_step_user(self, user_input: dict[str, Any] | None = None) -> Result:
        """Offer the meters that were removed; all others appear by themselves."""
        removed: list[str] = list(self.entry.options.get(OPTION_REMOVED, ()))
        if not removed:
            return self.async_abort(reason="bridge_nothing_removed")
        if user_input is None:
            options = [SelectOptionDict(value=meter, label=meter) for meter in removed]
            return self.show("user", removed_form(options))
        back = user_input[FIELD_METERS]
        left = [meter for meter in removed if meter not in back]
        self.hass.config_entries.async_update_entry(
            self.entry, options={**self.entry.options, OPTION_REMOVED: left}
        )
        self.async_take_up(self.entry)
        return self.async_abort(
            reason="bridge_meters_back", description_placeholders={"name": ", ".join(back)}
        )

    async def async_step_reconfigure(self, user_input: dict[str, Any] | None = None) -> Result:
        """Ask for everything about a meter."""
        if user_input is None:
            self.phrases = await Phrases.load(self.hass)
            self.drafts = []
            self._draft = BridgeMeterDraft.of(self._get_reconfigure_subentry(), self._values())
            return self.show(
                "reconfigure",
                bridge_meter_form(),
                filled={CONF_NAME: self._draft.name, CONF_ROLE: ROLE_NONE, **self._draft.data},
                placeholders={
                    "name": self._draft.name,
                    "live": values_text(self._draft.values) or self.phrases("no_values"),
                },
            )
        self._draft.take(user_input)
        counts = all(key in self._quantities() for key in COUNTERS)
        return await self.async_ask_role(both_counters=counts)

    @override
    async def async_role_known(self) -> Result:
        """Show what the Energy dashboard gets of it."""
        draft, quantities = self._draft, self._quantities()
        wanted = draft.data.get(CONF_ENERGY_DASHBOARD, True)
        if not quantities:  # Nobody knows what it measures while its bridge does not run.
            return await self.async_dashboard_chosen(wanted)
        meter = DashboardMeter(
            identity=draft.identity,
            name=draft.name,
            role=draft.role,
            quantities=quantities,
            production=draft.production,
            inside=draft.inside,
        )
        return await self.async_summarise([meter], wanted=wanted)

    @override
    async def async_dashboard_chosen(self, wanted: bool) -> Result:
        """Save it."""
        draft, subentry = self._draft, self._get_reconfigure_subentry()
        draft.data[CONF_ENERGY_DASHBOARD] = wanted
        area = draft.data.get(CONF_AREA)
        if area != subentry.data.get(CONF_AREA):
            devices = dr.async_get(self.hass)
            identifier = (DOMAIN, draft.identity)
            if device := devices.async_get_device_by_identifier(identifier, self.entry.entry_id):
                devices.async_update_device(device.id, area_id=area)
        self.hass.config_entries.async_update_subentry(
            self.entry, subentry, title=draft.name, data=draft.data
        )
        self.async_take_up(self.entry)
        return self.async_abort(
            reason="meter_changed", description_placeholders={"name": draft.name}
        )

    def _meter(self) -> MeterCoordinator | None:
        """The meter at run time; None while its bridge does not run."""
        if self.entry.state is not ConfigEntryState.LOADED:
            return None
        meter: MeterCoordinator | None = self.entry.runtime_data.meters.get(
            self._reconfigure_subentry_id
        )
        return meter

    def _values(self) -> Mapping[str, Value]:
        """What the meter shows at the moment."""
        meter = self._meter()
        return dict(meter.values) if meter else {}

    def _quantities(self) -> tuple[str, ...]:
        """Keys of all that the meter gives."""
        meter = self._meter()
        return tuple(quantity.key for quantity in meter.quantities) if meter else ()
